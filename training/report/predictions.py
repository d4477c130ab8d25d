"""Each crop's truth and answer as a table that a spreadsheet opens, written and read back. Pure but for files."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import StationError
from training.evaluation import Evaluation
from training.report.metrics import confidence_of
from training.scores import named_labels

__all__ = ["Predictions", "predictions_file", "read_predictions", "write_predictions"]

_SEPARATOR = " | "
_COLUMNS = ("name", "true", "named", "right", "confidence", "novelty")


@dataclass(frozen=True, slots=True)
class Predictions:
    """Each crop's truth and answer on one side, as read back from a report folder."""

    names: tuple[str, ...]
    true: NDArray[np.bool_]
    """[n,C]."""
    probabilities: NDArray[np.float32]
    """[n,C]."""


def predictions_file(side: str) -> str:
    """Return the file's name in a report folder of a side, which may be `test` or `test/whole`."""
    return f"predictions-{side.replace('/', '-')}.csv"


def write_predictions(path: Path, answers: Evaluation, labels: Sequence[str], multi_label: bool) -> None:
    """Write a CSV row a crop: name, true and named labels, right, confidence, novelty, each label's probability."""
    true, named = answers.targets > 0, named_labels(answers.probabilities, multi_label)
    right, confidence = (named == true).all(1), confidence_of(answers.probabilities, multi_label)
    novelty = [""] * len(right) if answers.novelty is None else answers.novelty
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*_COLUMNS, *labels])
        for row, name in enumerate(answers.names):
            words = (_SEPARATOR.join(np.compress(part[row], labels)) for part in (true, named))
            figures = (int(right[row]), confidence[row], novelty[row], *answers.probabilities[row])
            table.writerow([name, *words, *figures])


def read_predictions(path: Path) -> Predictions:
    """Read a side's CSV back, sorted by name. Raises `StationError` when it is missing or not one."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        labels, rows = head[len(_COLUMNS) :], sorted(rows)
        chances = np.array([row[len(_COLUMNS) :] for row in rows], np.float32).reshape(len(rows), len(labels))
    except (OSError, ValueError, csv.Error) as fault:
        raise StationError(f"{path}: no predictions of a report; make the run's report again") from fault
    true = np.array([np.isin(labels, row[1].split(_SEPARATOR)) for row in rows], np.bool_)
    return Predictions(tuple(row[0] for row in rows), true.reshape(chances.shape), chances)
