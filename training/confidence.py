"""What makes a confidence honest: temperature, floors by cost, and sets that hold the true label. Pure."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from engines.model import Head
from shadowline.errors import ConfigError, StationError

__all__ = ["conformal_threshold", "fit_temperature", "label_floors", "prediction_set"]

_DOUBT_CROPS = 0.1
_LOG_TEMPERATURES = (-6.0, 6.0)


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.float32], head: Head) -> float:
    """Return the temperature to divide logits [n,K] by that has the least cross-entropy with targets [n,C] (Guo 2017).

    The targets are softened by a tenth of a crop's worth of doubt, as if that much of one more crop could have been
    anything (after Platt 1999): answers that are all right would else be made endlessly sure. Of 0 to 1 crops, 0.1 did
    best by log loss and calibration error together on halves of the validation sides of five networks.
    Raises `StationError` without crops.
    """
    if not len(logits):
        raise StationError("a temperature needs crops of the validation side: give it a part of the pictures")
    outputs = np.asarray(logits, np.float64)
    wanted = _doubted(targets[:, 1:] if head == "sigmoid" else targets, head)

    def loss(log_temperature: float) -> float:
        return _cross_entropy(outputs * math.exp(-log_temperature), wanted, head)

    found = minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-4})
    return math.exp(float(found.x))


def label_floors(costs: Mapping[str, float]) -> dict[str, float]:
    """Return the confidence below which each label is better left `unknown`, by what giving it wrongly costs.

    A cost is counted in units of what one `unknown` costs: a cost of 20 says that one crop wrongly given this label is
    as bad as 20 crops called unknown. A label of calibrated confidence p is expected to cost (1 - p) · cost, so that it
    is worth giving from p = 1 - 1 / cost on (Chow 1970). Raises `ConfigError` for a cost below 1 or without end: such
    a label would always, or never, be given.
    """
    for label, cost in costs.items():
        if not 1 <= cost < math.inf:
            raise ConfigError(
                f"costs: {label}: {cost:g} is no cost of a wrong label: give how many unknowns, 1 or more"
            )
    return {label: 1 - 1 / cost for label, cost in costs.items()}


def conformal_threshold(probabilities: NDArray[np.float32], classes: NDArray[np.int64], miss_rate: float) -> float:
    """Return the probability from which a label belongs into the set of a crop, so that the set holds the true one.

    For answers [n,C] to held-out crops of the classes [n], each with one true label. The set of a further crop of their
    kind misses the true label in at most `miss_rate` of all cases (split conformal with the score 1 - p, Sadinle et al.
    2019). 0, so that every label is in it, where fewer than 1 / miss_rate - 1 crops can't vouch for that rate.
    """
    true = np.sort(probabilities[np.arange(len(classes)), classes])
    rank = math.floor((len(true) + 1) * miss_rate)
    return float(true[rank - 1]) if rank else 0.0


def prediction_set(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return which labels belong into the set of each crop, [n,C]: none where the crop is like no label."""
    return probabilities >= threshold


def _doubted(targets: NDArray[np.float32], head: Head) -> NDArray[np.float64]:
    """Return targets with an even answer mixed in, by its share of n and a tenth of a crop."""
    even = 1 / targets.shape[1] if head == "softmax" else 0.5
    return (len(targets) * np.asarray(targets, np.float64) + _DOUBT_CROPS * even) / (len(targets) + _DOUBT_CROPS)


def _cross_entropy(logits: NDArray[np.float64], wanted: NDArray[np.float64], head: Head) -> float:
    if head == "softmax":
        return float(-(wanted * log_softmax(logits, axis=1)).sum(1).mean())
    return float(-(wanted * log_expit(logits) + (1 - wanted) * log_expit(-logits)).mean())
