"""What a detector is worth on marked pictures, while it learns and when it is exported. Needs torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from training.assess.cover import by_boxes
from training.assess.matching import IOUS, Boxed, Matches, average_precisions, match
from training.data.marked import Marked
from training.finders.pictures import exact, read_sample
from training.finders.recipe import FinderRecipe

__all__ = [
    "NMS_IOU",
    "Answers",
    "Detect",
    "answers_to",
    "best_threshold",
    "figures_of",
    "found_in",
    "frames_of",
    "matches_of",
    "mean_precision",
    "over",
    "threshold_of",
]

Answers: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Boxes [N,K,4], scores [N,K] and labels [N,K] as the finder file gives them."""

Detect: TypeAlias = Callable[[NDArray[np.uint8]], Answers]
"""What answers frames uint8 [N,1,H,W]."""

NMS_IOU = 0.6
_BATCH = 16
_FEW_REGIONS = 4.0


def frames_of(pictures: Sequence[Marked], recipe: FinderRecipe) -> NDArray[np.uint8]:
    """Return pictures as the network is fed them, uint8 [N,1,H,W]."""
    frames = [exact(read_sample(picture, ()), recipe.input_px, recipe.scale).image for picture in pictures]
    return np.stack(frames)[:, None]


def answers_to(detect: Detect, pictures: Sequence[Marked], recipe: FinderRecipe) -> Answers:
    """Return what a detector answers to each picture, a row each."""
    parts = [detect(frames_of(pictures[start : start + _BATCH], recipe)) for start in range(0, len(pictures), _BATCH)]
    boxes, scores, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return boxes, scores, labels


def found_in(
    answers: Answers, pictures: Sequence[Marked], labels: Sequence[str], recipe: FinderRecipe, nms_iou: float = NMS_IOU
) -> list[Boxed]:
    """Return what is found in each picture, in its own pixels, the surest of overlapping boxes of one label only."""
    rows = zip(pictures, *answers, strict=True)
    return [_boxed(one, boxes, scores, numbers, labels, recipe.scale, nms_iou) for one, boxes, scores, numbers in rows]


def over(found: Sequence[Boxed], threshold: float) -> list[Boxed]:
    """Return only those boxes whose score reaches the threshold."""
    rows = [np.flatnonzero(one.scores >= threshold) for one in found]
    return [
        Boxed(one.boxes[row], tuple(one.labels[number] for number in row), one.scores[row])
        for one, row in zip(found, rows, strict=True)
    ]


def matches_of(pictures: Sequence[Marked], found: Sequence[Boxed], labels: Sequence[str]) -> dict[str, Matches]:
    """Return which boxes of each label meet marked ones."""
    marked = [Boxed(picture.boxes, picture.labels, np.ones(len(picture.labels))) for picture in pictures]
    return match(marked, found, labels)


def mean_precision(matches: Mapping[str, Matches], iou: float = 0.5) -> tuple[float, dict[str, float]]:
    """Return the mean of the labels' average precisions, and each; a label that is marked nowhere has none."""
    each = {
        label: float(average_precisions(one, iou, np.ones((1, len(one.marked)), np.float32))[0])
        for label, one in matches.items()
        if one.marked.sum()
    }
    return float(np.mean(list(each.values()))) if each else 0.0, each


def best_threshold(matches: Mapping[str, Matches]) -> float:
    """Return the score from which on boxes are kept so that the mean F1 of the labels at an overlap of 0.5 is best."""
    steps = np.linspace(0.05, 0.9, 86)
    marked = [one for one in matches.values() if one.marked.sum()]
    return float(steps[np.argmax([np.mean([_f1(one, step) for one in marked]) for step in steps])])


def figures_of(
    pictures: Sequence[Marked], found: Sequence[Boxed], labels: Sequence[str], threshold: float
) -> dict[str, float]:
    """Return the figures of one side that stand in the finder's card."""
    matches = matches_of(pictures, found, labels)
    map50, each = mean_precision(matches)
    kept = over(found, threshold)
    few = over(found, threshold_of(found, _FEW_REGIONS))
    return {
        "n": len(pictures),
        "map50": map50,
        "map": float(np.mean([mean_precision(matches, iou)[0] for iou in IOUS[1:]])),
        "f1_50": float(np.mean([_f1(one, threshold) for one in matches.values() if one.marked.sum()] or [0.0])),
        "regions": float(np.mean([len(one.labels) for one in kept])),
        "recall_30": _recall(pictures, kept),
        "recall_30_of_4": _recall(pictures, few),
        **{f"ap50_{label}": value for label, value in each.items()},
    }


def threshold_of(found: Sequence[Boxed], regions: float) -> float:
    """Return the score above which there are so many regions a picture."""
    scores = np.sort(np.concatenate([one.scores for one in found]))[::-1]
    count = round(regions * len(found))
    return float(scores[count - 1]) if count <= len(scores) else 0.0


def _recall(pictures: Sequence[Marked], found: Sequence[Boxed]) -> float:
    """Return the part of the marked boxes that any region overlaps by 0.3, whatever its label."""
    met = [by_boxes(picture.boxes, one.boxes, (1, 1)).met for picture, one in zip(pictures, found, strict=True)]
    return float(np.concatenate(met).mean()) if sum(map(len, met)) else 0.0


def _f1(matches: Matches, threshold: float) -> float:
    kept = matches.score >= threshold
    hits = int((matches.hit[IOUS.index(0.5)] & kept).sum())
    return 2 * hits / max(1, int(kept.sum()) + int(matches.marked.sum()))


def _boxed(
    picture: Marked,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    numbers: NDArray[np.int64],
    labels: Sequence[str],
    scale: tuple[float, float],
    nms_iou: float,
) -> Boxed:
    rows = batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(numbers), nms_iou).numpy()
    width, height = picture.size_px
    corners = np.clip(boxes[rows] * (scale * 2), 0, (width, height, width, height))
    whole = np.concatenate([np.floor(corners[:, :2]), np.ceil(corners[:, 2:])], 1).astype(np.int32)
    whole[:, 2:] -= whole[:, :2]
    return Boxed(whole, tuple(labels[number] for number in numbers[rows]), scores[rows].astype(np.float64))
