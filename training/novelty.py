"""How unlike its training a crop is, by its features: fitted once, then served inside the graph. Needs torch."""

import logging
import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from shadowline.errors import StationError

__all__ = ["NoveltyHead", "auroc", "fit_novelty", "novelty_limit", "vouched_rate"]

_AXES = 128
_PROTOTYPES = 16
_log = logging.getLogger(__name__)


class NoveltyHead(nn.Module):
    """The distance of features [N,D] from the nearest prototype in direction, [N]: 0 like one, 1 like none, at most 2.

    Directions are those from the centre of the training, after `whitening` [D,R], R ≤ 128; `prototypes` [R,P] have
    length 1. It takes 4 · (D + D · R + R · P) bytes: 0.2 MB for 320 features and six classes, 0.7 MB for 1280.
    """

    def __init__(
        self, centre: NDArray[np.float64], whitening: NDArray[np.float64], prototypes: NDArray[np.float64]
    ) -> None:
        super().__init__()
        for name, values in (("centre", centre), ("whitening", whitening), ("prototypes", prototypes)):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        """Return novelty [N], higher = less like training."""
        directions = functional.normalize((features - self.centre) @ self.whitening, dim=1)
        return 1 - (directions @ self.prototypes).amax(1)


def fit_novelty(features: NDArray[np.float32], classes: NDArray[np.int64], seed: int = 0) -> NoveltyHead:
    """Return the novelty of features [n,D] of training crops of the classes [n].

    Features are centred, turned to their up to 128 principal axes, and whitened by their covariance within the classes,
    shrunk after Ledoit and Wolf (2004); k-means makes up to 16 prototypes a class of their directions. Of the lengths
    nothing is used. Raises `StationError` when the features of every class are all the same.
    """
    rows = np.asarray(features, np.float64)
    if _within(rows, classes).std() <= 1e-9 * np.abs(rows).max():
        raise StationError("the features of the crops of every class are all the same: novelty can't be told by them")
    principal = PCA(min(_AXES, *rows.shape), random_state=seed).fit(rows)
    turned = principal.transform(rows)
    whitening = _whitening(_within(turned, classes))
    directions = _unit(turned @ whitening)
    prototypes = [_prototypes(directions[classes == number], seed) for number in np.unique(classes)]
    return NoveltyHead(principal.mean_, principal.components_.T @ whitening, np.concatenate(prototypes).T)


def novelty_limit(known: NDArray[np.float32], false_unknown: float) -> float:
    """Return the novelty above which a crop is unknown, from the scores [n] of held-out crops of known classes.

    A further known crop is beyond it with a chance of at most `false_unknown`, over the draw of the held-out crops:
    it is the ⌈(n + 1)(1 - false_unknown)⌉-th smallest score. Where n is too small for that rate, it is the largest, and
    what it stands for is `vouched_rate`. Raises `StationError` without scores.
    """
    if not len(known):
        raise StationError("a novelty limit needs crops of the validation side: give it a part of the pictures")
    vouched = vouched_rate(len(known), false_unknown)
    if vouched > false_unknown:
        _log.warning("%d held-out crops vouch for false unknowns below %.2g only", len(known), vouched)
    rank = math.ceil((len(known) + 1) * (1 - vouched) - 1e-9)
    return float(np.sort(known)[rank - 1])


def vouched_rate(count: int, false_unknown: float) -> float:
    """Return the false-unknown rate that a limit chosen on `count` crops can state: the wanted one or 1 / (n + 1)."""
    return max(false_unknown, 1 / (count + 1))


def auroc(known: NDArray[np.float32], novel: NDArray[np.float32]) -> float:
    """Return the chance that a novel crop scores above a known one, ties counted half."""
    truth = np.concatenate([np.zeros(len(known)), np.ones(len(novel))])
    return float(roc_auc_score(truth, np.concatenate([known, novel])))


def _within(rows: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row less the mean of its class."""
    numbers, places = np.unique(classes, return_inverse=True)
    means = np.stack([rows[classes == number].mean(0) for number in numbers])
    return np.asarray(rows - means[places])


def _whitening(within: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what rows are multiplied with so that their shrunk covariance becomes 1, [D,D]."""
    variances, axes = eigh(LedoitWolf(assume_centered=True).fit(within).covariance_)
    return np.asarray(axes / np.sqrt(np.maximum(variances, 1e-6 * variances[-1])))


def _prototypes(directions: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return up to 16 directions that stand for those of one class."""
    count = min(_PROTOTYPES, len(np.unique(directions, axis=0)))
    return _unit(KMeans(count, n_init=1, random_state=seed).fit(directions).cluster_centers_)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
