"""Bootstrap intervals of figures: the pictures drawn again with replacement, crops of one picture together. Pure."""

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from station.config import Table
from training.scores import label_precisions, mean_where, ratio

__all__ = [
    "Interval",
    "error_bound",
    "interval",
    "macro_f1s",
    "mean_precisions",
    "picture_of",
    "resampled",
    "resamples",
]

_RESAMPLES = 2000
_AT_ONCE = 100
_SEED = 1
_BOX = re.compile(r" [(\[]-?\d+(, -?\d+){3}[)\]]$")


class Interval(Table):
    """A figure and its 95 % bootstrap interval (percentiles)."""

    value: float
    low: float
    high: float


def picture_of(name: str) -> str:
    """Return the picture's path of a crop's name: without its box."""
    return _BOX.sub("", name)


def resamples(names: Sequence[str]) -> NDArray[np.float32]:
    """Return how often each crop counts in each of 2000 resamples [B,n]: the same for the same names in any order.

    Whole pictures are drawn, since the crops of one picture are alike.
    """
    pictures, crop_picture = np.unique([picture_of(name) for name in names], return_inverse=True)
    shares = np.full(len(pictures), 1 / len(pictures))
    drawn = np.random.default_rng(_SEED).multinomial(len(pictures), shares, _RESAMPLES)
    return drawn.astype(np.float32)[:, crop_picture]


def macro_f1s(true: NDArray[np.bool_], named: NDArray[np.bool_], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean F1 [B] over the classes that occur, for labels [n,C] counted by each row of weights [B,n]."""
    hits, support, answers = (weights @ part.astype(np.float32) for part in (true & named, true, named))
    return mean_where(ratio(2 * hits, support + answers), support + answers > 0)


def mean_precisions(
    probabilities: NDArray[np.float32], true: NDArray[np.bool_], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the mean average precision [B] over the labels that are true somewhere, by each row of weights [B,n]."""
    return mean_where(label_precisions(probabilities, true, weights), weights @ true.astype(np.float32) > 0)


def resampled(
    figure: Callable[[NDArray[np.float32]], NDArray[np.float64]], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return a figure of each resample [B], some rows of weights [B,n] at a time, so that memory stays small."""
    return np.concatenate([figure(weights[row : row + _AT_ONCE]) for row in range(0, len(weights), _AT_ONCE)])


def interval(value: float, samples: NDArray[np.float64]) -> Interval:
    """Return the middle 95 % of a figure's resampled values [B] beside it."""
    low, high = np.quantile(samples, (0.025, 0.975))
    return Interval(value=value, low=float(low), high=float(high))


def error_bound(wrong: int, n: int) -> float:
    """Return the error rate that `wrong` of `n` stays below with 95 % confidence (Clopper and Pearson 1934).

    It also holds without any error, where a bootstrap interval has no width.
    """
    return float(binomtest(wrong, n, alternative="less").proportion_ci(0.95, "exact").high)
