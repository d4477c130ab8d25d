"""Grow a labelled folder by unlabelled pictures like those in it, for a person to look through. Needs torch."""

import csv
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from shadowline.errors import StationError
from training.data import Tree
from training.embedding import condense
from training.networks import Ensemble, Network
from training.pool import Pool, embed_pool
from training.propagate import propagate

__all__ = ["UNSURE", "Growth", "grow"]

UNSURE = ".unsure"
"""Folder of the pictures that were left without a label; its dot keeps it out of training."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What became of n unlabelled pictures."""

    labels: tuple[str, ...]
    """The classes."""
    classes: NDArray[np.int64]
    """Class number of each, [n]; -1 where none reached it."""
    confidence: NDArray[np.float32]
    """How sure that is, [n]; it orders the pictures and is no probability."""
    taken: NDArray[np.bool_]
    """Whether it went into its class's folder, [n]."""


def grow(tree: Tree, pool: Pool, network: Network | Ensemble, cut: CropCut, folder: Path, share: float = 0.9) -> Growth:
    """Write the new folder-per-class tree `folder`: the labelled pictures, and the surest `share` of the others.

    Labels spread along likeness (`propagate`). The rest lies in `.unsure`; `grown.csv` lists class, confidence and
    source of every picture that was given a label here. Raises `StationError` when the folder exists or can't be
    written; then nothing has changed.
    """
    if folder.exists():
        raise StationError(f"{folder}: exists already: give a new folder")
    labels = tuple(sorted(set(tree.labels)))
    known = np.array([labels.index(label) for label in tree.labels], np.int64)
    given = np.concatenate([known, np.full(len(pool.paths), -1, np.int64)])
    features = condense(embed_pool(network, (*tree.images, *pool.images), cut))
    classes, confidence = propagate(features, given, len(labels))
    classes, confidence = classes[len(known) :], confidence[len(known) :]
    wanted = round(share * len(classes))
    taken = np.zeros(len(classes), np.bool_)
    taken[np.argsort(-confidence, kind="stable")[:wanted]] = True
    growth = Growth(labels, classes, confidence, taken & (classes >= 0))
    _write(tree, pool, growth, folder)
    return growth


def _write(tree: Tree, pool: Pool, growth: Growth, folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            new = Path(temporary) / folder.name
            for name, label in zip(tree.paths, tree.labels, strict=True):
                _copy(tree.root / name, new / label / Path(name).name)
            with (new / "grown.csv").open("w", newline="") as stream:
                rows = csv.writer(stream)
                rows.writerow(("picture", "confidence", "source"))
                for place, path in enumerate(pool.paths):
                    label = growth.labels[growth.classes[place]] if growth.taken[place] else UNSURE
                    target = new / label / f"grown-{place:05d}-{path.name}"
                    _copy(path, target)
                    rows.writerow((target.relative_to(new), f"{growth.confidence[place]:.3f}", path))
            new.rename(folder)
    except OSError as fault:
        raise StationError(f"{folder}: can't write the grown set: {fault.strerror}; nothing was changed") from fault


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
