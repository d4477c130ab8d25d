"""What a labelled set of probabilities is worth: accuracy, F1, average precision, calibration, confusion. Pure."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = [
    "ClassScores",
    "Scores",
    "average_precision",
    "choose_floor",
    "confidence_bins",
    "label_precisions",
    "mean_where",
    "named_labels",
    "ratio",
    "score",
    "score_multi_label",
]

ECE_BINS = 15


class ClassScores(BaseModel):
    """One class: its support, precision, recall and their harmonic mean (0 where undefined), average precision."""

    model_config = ConfigDict(frozen=True)

    n: int
    precision: float
    recall: float
    f1: float
    average_precision: float | None
    """None where the class does not occur."""


class Scores(BaseModel):
    """A whole set. `confusion[true][named]` counts; `ece` is the expected calibration error over 15 equal bins.

    Macro figures are means over the classes that occur, in truth or in answers; `mean_average_precision` over those
    that occur in truth (None where none does). `brier` is the squared distance of the probabilities from the truth,
    summed over the labels, a crop.

    Of multi-label answers (a label is named from 0.5 on), `accuracy` is the share of crops with every label right,
    `ece` and `brier` are those of each label's own yes or no, `brier` their mean, and `confusion` has one more row and
    column, for no label: a label missed counts beside each label wrongly named in its place, or beside none.
    """

    model_config = ConfigDict(frozen=True)

    n: int
    accuracy: float
    macro_f1: float
    macro_precision: float
    macro_recall: float
    mean_average_precision: float | None
    ece: float
    brier: float
    per_class: dict[str, ClassScores]
    confusion: list[list[int]]
    labels: list[str]


def score(probabilities: NDArray[np.float32], classes: NDArray[np.int64], labels: Sequence[str]) -> Scores:
    """Score probabilities [n,C] against true class numbers [n], n ≥ 1. ECE after Guo et al. 2017."""
    true = np.eye(len(labels), dtype=np.bool_)[classes]
    named = named_labels(probabilities, multi_label=False)
    right = named[np.arange(len(classes)), classes]
    return _scores(
        probabilities,
        true,
        named,
        labels,
        ece=_ece(probabilities.max(1), right),
        brier=float(((probabilities - true) ** 2).sum(1).mean()),
        confusion=_confusion(true, named),
    )


def score_multi_label(
    probabilities: NDArray[np.float32], targets: NDArray[np.float32], labels: Sequence[str]
) -> Scores:
    """Score each label's own probability [n,C] against the labels that are true [n,C], n ≥ 1."""
    true, named = targets > 0, named_labels(probabilities, multi_label=True)
    return _scores(
        probabilities,
        true,
        named,
        labels,
        ece=_ece(probabilities.ravel(), true.ravel()),
        brier=float(((probabilities - true) ** 2).mean()),
        confusion=_confusion_with_none(true, named),
    )


def named_labels(probabilities: NDArray[np.float32], multi_label: bool) -> NDArray[np.bool_]:
    """Return which labels [n,C] the answers name: the most probable one, or each of at least 0.5."""
    if multi_label:
        return probabilities >= 0.5
    return np.asarray(np.eye(probabilities.shape[1], dtype=np.bool_)[probabilities.argmax(1)])


def choose_floor(probabilities: NDArray[np.float32], classes: NDArray[np.int64], caught: float) -> float:
    """Return the confidence floor below which the share `caught` of the wrong answers falls, between 0.3 and 0.9.

    Rounded up to 0.01; 0.5 when no answer is wrong, since then nothing tells.
    """
    confidence, wrong = probabilities.max(1), probabilities.argmax(1) != classes
    if not wrong.any():
        return 0.5
    floor = math.ceil(float(np.quantile(confidence[wrong], caught)) * 100) / 100
    return min(max(floor, 0.3), 0.9)


def label_precisions(
    probabilities: NDArray[np.float32], true: NDArray[np.bool_], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the average precision of each label [B,C], with crops counted by each row of weights [B,n]."""
    columns = zip(probabilities.T, true.T, strict=True)
    return np.stack([average_precision(chance, truth, weights) for chance, truth in columns], 1)


def average_precision(
    chance: NDArray[np.float32], true: NDArray[np.bool_], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the area under precision over recall of one label [B], without interpolation; equal chances are one step.

    For chance [n], truth [n] and whole-numbered weights [B,n]: many resamples at once, which no library does.
    """
    order = np.argsort(-chance, kind="stable")
    ends = np.flatnonzero(np.diff(chance[order], append=-np.inf))
    total = np.cumsum(weights[:, order], 1, dtype=np.float64)[:, ends]
    hits = np.cumsum(weights[:, order] * true[order], 1, dtype=np.float64)[:, ends]
    steps = np.diff(hits, axis=1, prepend=0)
    return np.asarray((ratio(hits, total) * ratio(steps, hits[:, -1:])).sum(1))


def confidence_bins(
    confidence: NDArray[np.float32], right: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return count, summed confidence and summed right answers of 15 equal bins of confidence [n]."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    sums, rights = (np.bincount(bins, part, ECE_BINS).astype(np.float64) for part in (confidence, right))
    return np.bincount(bins, minlength=ECE_BINS).astype(np.int64), sums, rights


def ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    """Return part over whole, 0 where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.asarray(np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0))


def mean_where(values: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean over the last axis of what is counted."""
    return ratio((values * counted).sum(-1), counted.sum(-1))


def _scores(
    probabilities: NDArray[np.float32],
    true: NDArray[np.bool_],
    named: NDArray[np.bool_],
    labels: Sequence[str],
    ece: float,
    brier: float,
    confusion: NDArray[np.int64],
) -> Scores:
    hits, support, answers = (part.sum(0) for part in (true & named, true, named))
    occurs, whole = support + answers > 0, np.ones((1, len(true)), np.float32)
    precision, recall, f1 = ratio(hits, answers), ratio(hits, support), ratio(2 * hits, support + answers)
    areas = label_precisions(probabilities, true, whole)[0]
    columns = zip(labels, support.tolist(), precision, recall, f1, areas, strict=True)
    per_class = {
        label: ClassScores(n=n, precision=p, recall=r, f1=f, average_precision=area if n else None)
        for label, n, p, r, f, area in columns
    }
    return Scores(
        n=len(true),
        accuracy=float((true == named).all(1).mean()),
        macro_f1=float(mean_where(f1, occurs)),
        macro_precision=float(mean_where(precision, occurs)),
        macro_recall=float(mean_where(recall, occurs)),
        mean_average_precision=float(mean_where(areas, support > 0)) if support.any() else None,
        ece=ece,
        brier=brier,
        per_class=per_class,
        confusion=confusion.tolist(),
        labels=list(labels),
    )


def _confusion(true: NDArray[np.bool_], named: NDArray[np.bool_]) -> NDArray[np.int64]:
    return true.T.astype(np.int64) @ named


def _confusion_with_none(true: NDArray[np.bool_], named: NDArray[np.bool_]) -> NDArray[np.int64]:
    missed, extra = true & ~named, named & ~true
    missed = np.column_stack([missed, extra.any(1) & ~missed.any(1)])
    extra = np.column_stack([extra, missed[:, :-1].any(1) & ~extra.any(1)])
    hits = np.append((true & named).sum(0), 0)
    return _confusion(missed, extra) + np.diag(hits)


def _ece(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Return the mean distance between confidence and accuracy, weighted by the size of each confidence bin."""
    _, sums, rights = confidence_bins(confidence, right)
    return float(np.abs(sums - rights).sum() / len(right))
