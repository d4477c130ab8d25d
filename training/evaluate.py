"""Measure a model file on a folder-per-class tree, by the engine and the crop function of serving. Needs no torch."""

from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from engines import Engine, OnnxRuntimeEngine
from shadowline.errors import StationError
from station.crops import cut_crops, whole_image
from training.data import Split, Tree, read_manifest, read_tree
from training.scores import Scores, score

__all__ = ["evaluate", "parse_split"]


def evaluate(model: Path, data: Path, split: tuple[Path, Split] | None = None) -> tuple[Scores, dict[str, str]]:
    """Return the scores of `model` on the pictures of `data`/<class>/, and which pictures were skipped and why.

    Each picture is one crop of all of it. `split` keeps only the pictures that a manifest puts on one side. Raises
    `StationError` when a folder is no label of the model, is empty, or no picture is left.
    """
    tree = read_tree(data)
    with OnnxRuntimeEngine(model) as engine:
        labels = engine.card.labels
        unknown = sorted(set(tree.labels) - set(labels))
        if unknown:
            raise StationError(
                f"{data}: class folder {', '.join(unknown)} is no label of {model.name}: {', '.join(labels)}"
            )
        rows = list(range(len(tree.paths))) if split is None else _rows_of(tree, *split)
        classes = np.array([labels.index(tree.labels[row]) for row in rows], np.int64)
        return score(_probabilities(engine, tree, rows), classes, labels), tree.skipped


def parse_split(text: str) -> tuple[Path, Split]:
    """Return manifest path and side of `manifest.json:test`. Raises `StationError` for anything else."""
    path, _, side = text.rpartition(":")
    if not path or side not in get_args(Split):
        raise StationError(f"--split {text}: expected MANIFEST:train, MANIFEST:val or MANIFEST:test")
    return Path(path), cast(Split, side)


def _rows_of(tree: Tree, path: Path, side: Split) -> list[int]:
    """Return the rows of the pictures on one side; a picture is known by its hash, wherever it lies now."""
    wanted = {picture.sha256 for picture in read_manifest(path).of(side)}
    rows = [row for row, sha256 in enumerate(tree.sha256) if sha256 in wanted]
    if not rows:
        raise StationError(f"{tree.root}: no picture here is on the {side} side of {path}")
    return rows


def _probabilities(engine: Engine, tree: Tree, rows: list[int]) -> NDArray[np.float32]:
    cut = engine.card.crop
    crops = np.empty((len(rows), 1, cut.size_px, cut.size_px), np.uint8)
    for place, row in enumerate(rows):
        image = tree.images[row]
        cut_crops(image, whole_image(image), cut, crops[place : place + 1])
    return engine.classify(crops).copy()
