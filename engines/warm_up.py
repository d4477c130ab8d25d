"""What every engine does before it is ready: run on noise, and refuse answers that are no probabilities. Pure."""

import numpy as np
from numpy.typing import NDArray

from engines.model import ModelCard
from shadowline.errors import EngineMismatch

__all__ = ["check_probabilities", "noise_crops"]

_SUM_TOLERANCE = 2e-3


def noise_crops(card: ModelCard, count: int) -> NDArray[np.uint8]:
    """Return `count` crops of noise for the model of `card`, the same every time."""
    side = card.crop.size_px
    return np.random.default_rng(0).integers(0, 256, (count, 1, side, side), np.uint8)


def check_probabilities(probabilities: NDArray[np.float32], where: str) -> None:
    """Raise `EngineMismatch`, naming the file `where`, unless each row is finite, not negative and sums to 1."""
    if not np.isfinite(probabilities).all():
        raise EngineMismatch(f"{where}: the warm-up answered with numbers that are not finite")
    if probabilities.min() < 0 or np.abs(probabilities.sum(1) - 1).max() > _SUM_TOLERANCE:
        raise EngineMismatch(f"{where}: the warm-up's probabilities do not sum to 1: softmax missing in the graph?")
