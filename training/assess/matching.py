"""Which found box is which marked one: matched label by label as COCO does it, and average precision. Pure."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

__all__ = ["IOUS", "Boxed", "Matches", "average_precisions", "match", "overlaps"]

IOUS = (0.3, *(0.5 + 0.05 * step for step in range(10)))
"""Overlaps at which boxes are matched: a loose one, then COCO's ten from 0.5 to 0.95."""
_MOST = 100
"""Boxes of one label in one picture that count, the surest first, as COCO has it."""
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Boxed:
    """The boxes of one picture: x, y, w, h [n,4], a label each, and how sure it is, 1 of marked ones."""

    boxes: NDArray[np.int32]
    labels: tuple[str, ...]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matches:
    """The boxes found under one label in all pictures, by falling score, and how many are marked.

    `picture` int64 [d] and `score` float64 [d] are of each found box, `hit` bool [T,d] whether it meets a marked box of
    its own at each of `IOUS`; `marked` int64 [p] counts the marked boxes of each picture.
    """

    picture: NDArray[np.int64]
    score: NDArray[np.float64]
    hit: NDArray[np.bool_]
    marked: NDArray[np.int64]

    def found(self, iou: float) -> NDArray[np.int64]:
        """Return how many marked boxes of each picture were met, [p]."""
        return np.bincount(self.picture[self.hit[IOUS.index(iou)]], minlength=len(self.marked))


def match(marked: Sequence[Boxed], found: Sequence[Boxed], labels: Sequence[str]) -> dict[str, Matches]:
    """Return the matches of each label: the surest box takes the marked box that it overlaps most and is still free."""
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its progress
        evaluation = COCOeval(_coco(marked, labels), _coco(found, labels), "bbox")
        evaluation.params.iouThrs = np.array(IOUS)
        evaluation.params.maxDets = [_MOST]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    count = len(marked)
    rows = [evaluation.evalImgs[start * count : (start + 1) * count] for start in range(len(labels))]
    return {label: _matches(row) for label, row in zip(labels, rows, strict=True)}


def average_precisions(matches: Matches, iou: float, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return COCO's average precision [B] at one overlap, each picture counted as often as a row of weights [B,p] says.

    The mean over 101 recalls of the best precision at that recall or beyond; NaN where nothing is marked.
    """
    hit = matches.hit[IOUS.index(iou)]
    counted = weights[:, matches.picture]
    hits = np.cumsum(counted * hit, axis=1, dtype=np.float64)
    answers = np.cumsum(counted, axis=1, dtype=np.float64)
    precision = np.divide(hits, answers, out=np.zeros_like(hits), where=answers > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    wanted = weights.astype(np.float64) @ matches.marked
    reached = [_at_recalls(row, total, top) for row, total, top in zip(hits, wanted, best, strict=True)]
    return np.where(wanted > 0, np.array(reached), np.nan)


def overlaps(boxes: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return intersection over union of boxes x, y, w, h, [n,m]."""
    if not len(boxes) or not len(others):
        return np.zeros((len(boxes), len(others)))
    return np.asarray(coco_mask.iou(boxes.astype(np.float64), others.astype(np.float64), [0] * len(others)))


def _at_recalls(hits: NDArray[np.float64], wanted: float, best: NDArray[np.float64]) -> float:
    """Return the mean of the best precision over the recalls, 0 beyond the last that is reached."""
    places = np.searchsorted(hits, _RECALLS * wanted - 1e-9, side="left")
    return float(best[places[places < len(best)]].sum() / len(_RECALLS))


def _matches(rows: Sequence[dict[str, Any] | None]) -> Matches:
    """Return what COCO's evaluation says of one label, a row a picture (None where it has no box of that label)."""
    full = [(number, row) for number, row in enumerate(rows) if row is not None]
    marked = np.zeros(len(rows), np.int64)
    for number, row in full:
        marked[number] = len(row["gtIds"])
    picture = np.concatenate([np.empty(0, np.int64), *(np.full(len(row["dtIds"]), number) for number, row in full)])
    score = np.concatenate([np.empty(0), *(np.array(row["dtScores"], np.float64) for _, row in full)])
    hit = np.concatenate([np.empty((len(IOUS), 0)), *(row["dtMatches"] for _, row in full)], axis=1) > 0
    order = np.argsort(-score, kind="stable")
    return Matches(picture[order].astype(np.int64), score[order], hit[:, order], marked)


def _coco(pictures: Sequence[Boxed], labels: Sequence[str]) -> COCO:
    """Return boxes as COCO keeps them; those of other labels are left out."""
    rows = [
        (number, labels.index(label), box, score)
        for number, picture in enumerate(pictures)
        for box, label, score in zip(picture.boxes.tolist(), picture.labels, picture.scores.tolist(), strict=True)
        if label in labels
    ]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(len(pictures))],
        "categories": [{"id": number} for number in range(len(labels))],
        "annotations": [
            {
                "id": place,
                "image_id": number,
                "category_id": label,
                "bbox": box,
                "area": box[2] * box[3],
                "score": score,
                "iscrowd": 0,
            }
            for place, (number, label, box, score) in enumerate(rows, start=1)
        ],
    }
    coco.createIndex()
    return coco
