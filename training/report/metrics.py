"""Every number of a report as one JSON document, with intervals. Pure but for reading it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from shadowline.errors import StationError
from station.config import Table
from training.evaluation import Evaluation
from training.report.intervals import (
    Interval,
    error_bound,
    interval,
    macro_f1s,
    mean_precisions,
    picture_of,
    resampled,
    resamples,
)
from training.scores import Scores, named_labels, score, score_multi_label

__all__ = ["SURE", "ReportMetrics", "SideMetrics", "confidence_of", "measure", "read_metrics"]

SURE = 0.9
"""Confidence from which an answer counts as sure."""


class SideMetrics(Table):
    """The figures of one side of the split."""

    n: int
    """Crops."""
    pictures: int
    accuracy: Interval
    """Share of the crops whose named labels are exactly the true ones."""
    macro_f1: Interval
    mean_average_precision: Interval | None
    """None where no label is true anywhere."""
    error_below: float
    """The share of wrong answers is below this with 95 % confidence."""
    mean_confidence: float
    sure_share: float
    """Share of the answers with a confidence of at least 0.9."""
    sure_accuracy: float | None
    """Share of right ones among them; None where there are none."""
    doubt_auroc: float | None
    """How well low confidence tells wrong answers from right ones; None where all are of one kind."""
    novelty_auroc: float | None
    """How well novelty tells wrong answers from right ones."""
    scores: Scores


class ReportMetrics(Table):
    """`metrics.json` of a report folder."""

    schema_version: Literal[1] = 1
    title: str
    labels: tuple[str, ...]
    multi_label: bool
    facts: dict[str, str]
    us_per_crop: float | None
    """Microseconds a crop where the run was made; None where nobody measured."""
    sides: dict[str, SideMetrics]

    @property
    def main_side(self) -> str:
        """The side that counts: `test` or the first `test/<source>`, or else the last one."""
        tests = (name for name in self.sides if name.split("/")[0] == "test")
        return next(tests, list(self.sides)[-1])


def measure(answers: Evaluation, labels: Sequence[str], multi_label: bool) -> SideMetrics:
    """Return every figure of one side's answers, n ≥ 1."""
    chances, true = answers.probabilities, answers.targets > 0
    named = named_labels(chances, multi_label)
    right, confidence = (named == true).all(1), confidence_of(chances, multi_label)
    weights, sure = resamples(answers.names), confidence >= SURE
    whole = (
        score_multi_label(chances, answers.targets, labels) if multi_label else score(chances, answers.classes, labels)
    )
    area = whole.mean_average_precision
    return SideMetrics(
        n=len(right),
        pictures=len({picture_of(name) for name in answers.names}),
        accuracy=interval(whole.accuracy, weights @ right / weights.sum(1)),
        macro_f1=interval(whole.macro_f1, resampled(partial(macro_f1s, true, named), weights)),
        mean_average_precision=None
        if area is None
        else interval(area, resampled(partial(mean_precisions, chances, true), weights)),
        error_below=error_bound(int((~right).sum()), len(right)),
        mean_confidence=float(confidence.mean()),
        sure_share=float(sure.mean()),
        sure_accuracy=float(right[sure].mean()) if sure.any() else None,
        doubt_auroc=_auroc(~right, -confidence),
        novelty_auroc=None if answers.novelty is None else _auroc(~right, answers.novelty),
        scores=whole,
    )


def confidence_of(probabilities: NDArray[np.float32], multi_label: bool) -> NDArray[np.float32]:
    """Return how sure each answer is [n]: its highest probability, or its least sure yes or no of multi-label."""
    if multi_label:
        return np.asarray(np.maximum(probabilities, 1 - probabilities).min(1))
    return np.asarray(probabilities.max(1))


def _auroc(wrong: NDArray[np.bool_], doubt: NDArray[np.float32]) -> float | None:
    return float(roc_auc_score(wrong, doubt)) if wrong.any() and not wrong.all() else None


def read_metrics(path: Path) -> ReportMetrics:
    """Read a report's `metrics.json`. Raises `StationError` when it is missing or not one."""
    try:
        return ReportMetrics.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as fault:
        raise StationError(f"{path}: no metrics of a report; make the run's report again") from fault
