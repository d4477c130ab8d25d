"""`station evaluate`: whole configurations of the station on marked pictures, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from shadowline.errors import MissingExtra
from training.assess.choice import Side
from training.assess.sought import Sought, sought
from training.assess.subjects import subjects_of
from training.command.common import AsJson
from training.data import check_leak, read_tree

__all__ = ["evaluate"]


def evaluate(
    configs: Annotated[list[Path], typer.Argument(help="Configurations of the station.", metavar="CONFIG…")],
    data: Annotated[Path, typer.Option(help="Folder of pictures and marks; the paths that follow are below it.")],
    pictures: Annotated[Path | None, typer.Option(help="Folder of pictures, at any depth.")] = None,
    boxes: Annotated[Path | None, typer.Option(help="Folder of Pascal VOC files.")] = None,
    coco: Annotated[Path | None, typer.Option(help="COCO file.")] = None,
    yolo: Annotated[Path | None, typer.Option(help="Folder of YOLO files, with classes.txt.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks.")] = None,
    good: Annotated[list[str] | None, typer.Option(help="A folder of defect-free pictures. May be repeated.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe that says all this, and the split.")] = None,
    manifest: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder or manifest of a model: its side is measured. May be repeated."),
    ] = None,
    side: Annotated[Side, typer.Option(help="Which side of the split.")] = "test",
    split_seed: Annotated[int | None, typer.Option(min=0, help="Without --manifest: of the split.")] = None,
    learnt: Annotated[
        Path | None, typer.Option(help="Class folders that a model learnt from: refuse pictures that stand there.")
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(help="Measure learned finders with this threshold. May be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a report: page, figures, worst pictures.")] = None,
    draw: Annotated[Path | None, typer.Option(help="Folder for every picture with marks and regions drawn.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure whole configurations (finder, classifier, rules) on marked pictures, in one table.

    The station's own steps run as configured, each picture by itself. Average precision is measured on what they would
    say without floors, and of detectors from a score of 0.01 on.
    """
    _need_extra()
    from training.assess.measure import gather, measure  # needs the extra
    from training.assess.output import draw_all, print_figures

    runs = manifest or []
    given = {"pictures": pictures, "boxes": boxes, "coco": coco, "yolo": yolo, "masks": masks, "good": good}
    asked = sought(recipe or _recipe_of(runs), given, split_seed)
    subjects = subjects_of(configs, threshold or [])
    chosen = gather(data, asked, side, runs)
    for note in (*chosen.notes, *_leak(learnt, data, asked)):
        typer.echo(note, err=True)
    measured = []
    for subject in subjects:
        measured.append(measure(subject, chosen))
        typer.echo(f"{subject.name}: {len(chosen.pictures)} pictures", err=True)
    if draw is not None:
        draw_all(draw, chosen.pictures, measured)
    if out is not None:
        from training.assess.report import write_assessments  # loads Matplotlib

        write_assessments(out, chosen, measured)
        typer.echo(f"{out / 'index.html'}: the report", err=True)
    print_figures([one.assessment for one in measured], as_json)


def _need_extra() -> None:
    """Raise `MissingExtra` where something of the extra `training` is not installed; PyTorch is not needed here."""
    for package in ("pycocotools", "scipy", "matplotlib", "jinja2"):
        try:
            __import__(package)
        except ModuleNotFoundError as fault:
            raise MissingExtra(package, "training") from fault


def _recipe_of(runs: Sequence[Path]) -> Path | None:
    """Return the recipe of the first run, where it is a folder that has one."""
    return next((run / "recipe.json" for run in runs if (run / "recipe.json").is_file()), None)


def _leak(learnt: Path | None, data: Path, asked: Sought) -> tuple[str, ...]:
    """Return what `check_leak` says of a folder that was learnt from. Raises `StationError` where it holds the same."""
    return () if learnt is None else check_leak(read_tree(learnt), read_tree(data / asked.marks.pictures))
