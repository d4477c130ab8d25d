"""How well novelty tells a kind of defect that was never shown: train without each class in turn. Needs torch."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from engines import OnnxRuntimeEngine
from engines.model import Precision
from shadowline.errors import StationError
from training.data import Manifest, Tree, check_split
from training.evaluate import whole_crops
from training.export import export
from training.fit import fit, fit_tree, open_tree
from training.machine import Machine
from training.novelty import auroc
from training.recipe import Recipe
from training.runs import RunPaths

__all__ = ["LeftOut", "leave_out"]


class LeftOut(BaseModel):
    """One class that the network never saw."""

    model_config = ConfigDict(frozen=True)

    label: str
    auroc: float
    """The chance that a picture of it is more novel than a test picture of the other classes."""
    caught: float
    """Share of its pictures beyond the novelty limit."""
    false_unknown: float
    """Share of the others' test pictures beyond it."""
    accuracy: float
    """Of the others' test pictures."""


def leave_out(
    recipe: Recipe, data: Path, folder: Path, machine: Machine, console: Console, precision: Precision = "int8"
) -> list[LeftOut]:
    """Train one network for each class on all the others, below `folder`, and show it the pictures of that class.

    A class that was measured there before is read back. Raises `StationError` for fewer than three classes.
    """
    tree, manifest = open_tree(recipe, data)
    if recipe.boxes is not None or recipe.renders is not None:
        raise StationError("leaving a class out is for whole pictures: boxes and renders hold that class as well")
    if len(manifest.labels) < 3:
        raise StationError(f"{len(manifest.labels)} classes: leaving one out needs three, so that two are left to tell")
    found = []
    for number, label in enumerate(manifest.labels, 1):
        result = folder / label / "left-out.json"
        console.print(f"{number} of {len(manifest.labels)}: without {label}", highlight=False)
        if not result.exists():
            one = _measure(recipe, tree, manifest, label, data, folder / label / "run", machine, console, precision)
            result.write_text(one.model_dump_json(indent=1))
        found.append(LeftOut.model_validate_json(result.read_bytes()))
    return found


def _measure(
    recipe: Recipe,
    tree: Tree,
    manifest: Manifest,
    label: str,
    data: Path,
    folder: Path,
    machine: Machine,
    console: Console,
    precision: Precision,
) -> LeftOut:
    known = _without(manifest, label)
    check_split(known)
    begun = RunPaths(folder).recipe.exists()
    run = (
        fit(recipe, data, folder, machine, resume=True, console=console)
        if begun
        else fit_tree(recipe, tree, known, data, folder, machine, console)
    )
    exported = export(run, data, run.paths.model, precision)
    test = exported.evaluations["test/whole"]
    strange = [image for image, other in zip(tree.images, tree.labels, strict=True) if other == label]
    with OnnxRuntimeEngine(run.paths.model) as engine:
        novelty = engine.classify(whole_crops(strange, run.recipe.crop)).novelty
    limit = exported.card.novelty_limit
    if novelty is None or test.novelty is None or limit is None:
        raise StationError(f"{run.paths.model}: tells no novelty")
    return LeftOut(
        label=label,
        auroc=auroc(test.novelty, novelty),
        caught=float((novelty > limit).mean()),
        false_unknown=float((test.novelty > limit).mean()),
        accuracy=float((test.probabilities.argmax(1) == test.classes).mean()),
    )


def _without(manifest: Manifest, label: str) -> Manifest:
    """Return the same split without the pictures of a class."""
    return manifest.model_copy(
        update={
            "labels": tuple(other for other in manifest.labels if other != label),
            "pictures": tuple(picture for picture in manifest.pictures if picture.label != label),
        }
    )
