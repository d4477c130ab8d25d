"""The run folder of a finder: settings and split of its pictures, read back and checked. Needs torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from shadowline.errors import StationError
from training.data import Manifest, Split, check_split, read_manifest
from training.data.marked import Marked, manifest_of, read_marked, split_marked
from training.finders.recipe import FinderRecipe
from training.runs import RunPaths, save_settings

__all__ = ["Opened", "Pictures", "open_pictures", "open_run", "read_run"]

_Recipe = TypeVar("_Recipe", bound=FinderRecipe)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The marked pictures of a training by side, and the manifest that says which is which."""

    sides: dict[Split, tuple[Marked, ...]]
    manifest: Manifest

    def learnt(self, recipe: FinderRecipe) -> tuple[Marked, ...]:
        """Return what is learnt from: the training side, only a part of it or more, as the recipe says."""
        pictures = self.sides["train"] + (self.sides["val"] if recipe.learn_all else ())
        if recipe.train_pictures is None or recipe.train_pictures >= len(pictures):
            return pictures
        rows = np.random.default_rng(recipe.seed).permutation(len(pictures))[: recipe.train_pictures]
        return tuple(pictures[row] for row in sorted(rows))


@dataclass(frozen=True, slots=True)
class Opened(Generic[_Recipe]):
    """A run folder, ready to be trained into or used: where things lie, its recipe and its pictures."""

    paths: RunPaths
    recipe: _Recipe
    pictures: Pictures

    @property
    def is_finished(self) -> bool:
        """Whether the network is there."""
        return self.paths.network.exists()


def open_pictures(recipe: FinderRecipe, data: Path) -> Pictures:
    """Read the marked pictures of a recipe below `data` and split them. Raises `StationError` when they can't be."""
    pictures, notes = read_marked(data, recipe.marks)
    train, val, test = recipe.fractions
    fractions: dict[Split, float] = {"train": train, "val": val, "test": test}
    sides = split_marked(pictures, recipe.split_seed, fractions, recipe.fold)
    manifest = manifest_of(sides, recipe.split_seed, notes)
    check_split(manifest)
    return Pictures(sides, manifest)


def open_run(
    recipe: _Recipe, data: Path, folder: Path, resume: bool, check: Callable[[Pictures], None] = lambda _: None
) -> Opened[_Recipe]:
    """Start a new run folder, or with `resume` read an old one back, whose own recipe and split then hold.

    `check` may refuse new pictures before anything is written. Raises `StationError` when the folder holds a run
    already, or holds none, or `data` is not its pictures.
    """
    if resume:
        return read_run(type(recipe), data, folder)
    pictures = open_pictures(recipe, data)
    check(pictures)
    save_settings(folder, recipe, pictures.manifest)
    return Opened(RunPaths(folder), recipe, pictures)


def read_run(kind: type[_Recipe], data: Path, folder: Path) -> Opened[_Recipe]:
    """Read a run folder of the recipe's kind. Raises `StationError` when it is none or `data` is not its pictures."""
    paths = RunPaths(folder)
    try:
        recipe = kind.model_validate_json(paths.recipe.read_bytes())
    except (OSError, ValueError) as fault:
        raise StationError(f"{folder}: not a run folder of this kind of finder") from fault
    return Opened(paths, recipe, _pictures_of(read_manifest(paths.manifest), recipe, data, folder))


def _pictures_of(manifest: Manifest, recipe: FinderRecipe, data: Path, folder: Path) -> Pictures:
    """Return the pictures of a manifest. Raises `StationError` naming the first that is gone or changed."""
    found, _ = read_marked(data, recipe.marks)
    by_path = {picture.path: picture for picture in found}
    sides: dict[Split, list[Marked]] = {"train": [], "val": [], "test": []}
    for row in manifest.pictures:
        picture = by_path.get(row.path)
        if picture is None or picture.sha256 != row.sha256:
            state = "gone" if picture is None else "changed"
            raise StationError(f"{data}: not the pictures of {folder}: {row.path} is {state}")
        sides[row.split].append(picture)
    return Pictures({side: tuple(rows) for side, rows in sides.items()}, manifest)
