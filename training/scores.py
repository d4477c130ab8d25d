"""What a labelled set of probabilities is worth: accuracy, macro-F1, calibration, confusion. Pure."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["ClassScores", "Scores", "choose_floor", "score"]

_ECE_BINS = 15


class ClassScores(BaseModel):
    """One class: its support, and precision, recall and their harmonic mean (0 where undefined)."""

    model_config = ConfigDict(frozen=True)

    n: int
    precision: float
    recall: float
    f1: float


class Scores(BaseModel):
    """A whole set. `confusion[true][named]` counts; `ece` is the expected calibration error over 15 equal bins."""

    model_config = ConfigDict(frozen=True)

    n: int
    accuracy: float
    macro_f1: float
    ece: float
    per_class: dict[str, ClassScores]
    confusion: list[list[int]]
    labels: list[str]


def score(probabilities: NDArray[np.float32], classes: NDArray[np.int64], labels: Sequence[str]) -> Scores:
    """Score probabilities [n,C] against true class numbers [n], n ≥ 1.

    `macro_f1` is the mean over the classes that occur, in truth or in answers. ECE after Guo et al. 2017.
    """
    named = probabilities.argmax(1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (classes, named), 1)
    per_class = {label: _class_scores(confusion, number) for number, label in enumerate(labels)}
    occurs = (confusion.sum(0) + confusion.sum(1)) > 0
    return Scores(
        n=len(classes),
        accuracy=float((named == classes).mean()),
        macro_f1=float(np.mean([s.f1 for s, there in zip(per_class.values(), occurs, strict=True) if there])),
        ece=_ece(probabilities.max(1), named == classes),
        per_class=per_class,
        confusion=confusion.tolist(),
        labels=list(labels),
    )


def choose_floor(probabilities: NDArray[np.float32], classes: NDArray[np.int64], caught: float) -> float:
    """Return the confidence floor below which the share `caught` of the wrong answers falls, between 0.3 and 0.9.

    Rounded up to 0.01; 0.5 when no answer is wrong, since then nothing tells.
    """
    confidence, wrong = probabilities.max(1), probabilities.argmax(1) != classes
    if not wrong.any():
        return 0.5
    floor = math.ceil(float(np.quantile(confidence[wrong], caught)) * 100) / 100
    return min(max(floor, 0.3), 0.9)


def _class_scores(confusion: NDArray[np.int64], number: int) -> ClassScores:
    hits, support, answers = confusion[number, number], confusion[number].sum(), confusion[:, number].sum()
    precision, recall = _share(hits, answers), _share(hits, support)
    return ClassScores(n=int(support), precision=precision, recall=recall, f1=_share(2 * hits, support + answers))


def _share(part: np.int64, whole: np.int64) -> float:
    return float(part / whole) if whole else 0.0


def _ece(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Return the mean distance between confidence and accuracy, weighted by the size of each confidence bin."""
    bins = np.minimum((confidence * _ECE_BINS).astype(int), _ECE_BINS - 1)
    gaps = (abs(float((confidence[bins == b] - right[bins == b]).sum())) for b in range(_ECE_BINS))
    return sum(gaps) / len(right)
