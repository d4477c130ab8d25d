"""Unlabelled pictures and what they look like to a network that was trained on other things. Needs torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from engines.model import CropCut
from shadowline.errors import StationError
from training.data import read_grey
from training.data.tree import SUFFIXES
from training.embedding import embed
from training.evaluate import whole_crops
from training.networks import PACKAGED_NETWORK, Ensemble, Network, open_network, packaged_weights, settle
from training.recipe import Recipe
from training.runs import load_run

__all__ = ["Pool", "embed_pool", "open_embedder", "read_pool"]

_STAGES = (4, 5)
"""Of the packaged backbone: its middle layers tell surfaces apart better than its last ones do."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Pictures without labels: where they are, and their pixels."""

    paths: tuple[Path, ...]
    images: tuple[NDArray[np.uint8], ...]
    skipped: dict[str, str]
    """Path → why it was left out."""


def read_pool(folder: Path) -> Pool:
    """Read every picture below `folder`, at any depth. Raises `StationError` when there is none."""
    paths, images, skipped = [], [], {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
        try:
            images.append(read_grey(path))
            paths.append(path)
        except StationError as fault:
            skipped[str(path)] = str(fault)
    if not paths:
        raise StationError(f"{folder}: no readable picture below it")
    return Pool(tuple(paths), tuple(images), skipped)


def open_embedder(recipe: Recipe, run: Path | None) -> Network | Ensemble:
    """Return what crops are compared by: a run's network, the recipe's backbone, or the packaged one's middle layers.

    Raises `StationError` when there are no weights to start from: chance sees no likeness.
    """
    if run is not None:
        network: nn.Module = load_run(run).network
        assert isinstance(network, Network | Ensemble)
        return network
    if recipe.network != "auto" and recipe.weights is not None:
        return open_network(settle(recipe, 1), 1)[0]
    if recipe.network != "auto" or packaged_weights() is None:
        raise StationError("comparing pictures needs trained weights: give --run, or --network with --weights")
    start = {"network": PACKAGED_NETWORK, "weights": "package"}
    recipes = [recipe.model_copy(update={**start, "stages": stages}) for stages in _STAGES]
    return Ensemble([open_network(settle(one, 1), 1)[0] for one in recipes], [1.0] * len(recipes), "softmax")


def embed_pool(network: Network | Ensemble, images: tuple[NDArray[np.uint8], ...], cut: CropCut) -> NDArray[np.float32]:
    """Return the features [n,D] of whole pictures."""
    return embed(network, whole_crops(images, cut))
