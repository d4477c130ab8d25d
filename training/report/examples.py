"""Sheets of single crops for a report: the worst mistakes, and where the evidence for an answer lies. Pure."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from training.evaluation import Evaluation
from training.report.metrics import confidence_of
from training.report.words import percent
from training.scores import named_labels
from training.sheets import picture_sheet

__all__ = ["Saliency", "overlay", "saliency_sheet", "worst_sheet"]

Saliency: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Crops [n,1,S,S] → how much each place speaks for the answer, [n,S,S] from 0 to 1."""

_MOST_WORST = 24
_COLUMNS = 6
_MOST_CLASSES = 40
_TILE_PX = 150
_MOST_WARM = 0.65
_GROUND_LEVEL = 26
"""Grey level of a sheet's ground."""


def worst_sheet(answers: Evaluation, labels: Sequence[str], multi_label: bool) -> NDArray[np.uint8]:
    """Return a sheet of the wrong answers, the surest first, and behind few of them the least sure right ones."""
    right, confidence = _right(answers, multi_label), confidence_of(answers.probabilities, multi_label)
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MOST_WORST]
    unsure = np.flatnonzero(right)[np.argsort(confidence[right], kind="stable")]
    rows = [*surest, *unsure[: max(2 * _COLUMNS - len(surest), 0)]]
    title = f"{len(wrong) or 'None'} of {len(right)} wrong: {'the surest first' if len(wrong) else 'the least sure'}"
    names = [PurePosixPath(answers.names[row]).name for row in rows]
    words = [f"{_answer(answers, row, labels, multi_label)} {percent(float(confidence[row]))}" for row in rows]
    captions = [f"{answer}\n{name}" for answer, name in zip(words, names, strict=True)]
    return picture_sheet([answers.crops[row, 0] for row in rows], captions, _COLUMNS, _TILE_PX, title)


def saliency_sheet(
    answers: Evaluation, labels: Sequence[str], multi_label: bool, saliency: Saliency
) -> NDArray[np.uint8]:
    """Return a row of a sheet for each class: its surest, a middling and its worst crop, each beside its evidence."""
    images: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    confidence = confidence_of(answers.probabilities, multi_label)
    merit = np.where(_right(answers, multi_label), confidence, -confidence)
    for members in [np.flatnonzero(column) for column in answers.targets.T if column.any()][:_MOST_CLASSES]:
        order = members[np.argsort(-merit[members], kind="stable")]
        rows = list(dict.fromkeys(order[[0, len(order) // 2, -1]].tolist()))
        for row, places in zip(rows, saliency(answers.crops[rows]), strict=True):
            images += [answers.crops[row, 0], overlay(answers.crops[row, 0], places)]
            captions += [_answer(answers, row, labels, multi_label), percent(float(confidence[row]))]
        blank = _COLUMNS - 2 * len(rows)
        images += [np.full(answers.crops.shape[2:], _GROUND_LEVEL, np.uint8)] * blank
        captions += [""] * blank
    return picture_sheet(images, captions, _COLUMNS, _TILE_PX, "Each crop, and beside it what speaks for its name")


def overlay(crop: NDArray[np.uint8], places: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a grey crop [S,S] in colour [S,S,3] (BGR), warm where `places` [S,S] is high."""
    warm = cv2.applyColorMap(np.rint(255 * places).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = _MOST_WARM * places[..., None]
    return np.asarray(np.rint((1 - share) * crop[..., None] + share * warm), np.uint8)


def _right(answers: Evaluation, multi_label: bool) -> NDArray[np.bool_]:
    named = named_labels(answers.probabilities, multi_label)
    return np.asarray((named == (answers.targets > 0)).all(1))


def _answer(answers: Evaluation, row: int, labels: Sequence[str], multi_label: bool) -> str:
    """Return `true` of a right answer, true and named of a wrong one, a line each."""
    true, named = answers.targets[row] > 0, named_labels(answers.probabilities[row : row + 1], multi_label)[0]
    words = [" + ".join(np.compress(part, labels)) or "no label" for part in (true, named)]
    return words[0] if (true == named).all() else "\n-> ".join(words)
