"""Training pictures with their marks: cut, mirrored, turned, zoomed, joined and relit as one. Pure but for reading.

A window is drawn by one affine map from the picture to the network's input, so that pixels, boxes and mask go the same
way and are resampled once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from station.regions.reduce import reduce_image, reduced_px
from training.augment import expose
from training.data.marked import Marked
from training.finders.recipe import Augmentation, FinderRecipe

__all__ = ["Drawn", "Sample", "draw", "exact", "read_sample"]

_Size: TypeAlias = tuple[int, int]
"""Height and width."""

_LEAST_VISIBLE = 0.25
"""Part of a box's area that must lie inside the window for the box to stay."""
_LEAST_SIDE_PX = 3.0
_MOSAIC_PART = (0.3, 0.7)
_HALF_AREA = 0.25
"""Of a picture twice too large, which is halved by area first, as in serving."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A grey picture uint8 [H,W], boxes float32 [n,4] x0, y0, x1, y1 in it, their classes int64 [n], where a defect is.

    `defect` bool [H,W] is None where nobody asked for it.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    defect: NDArray[np.bool_] | None = None


def read_sample(marked: Marked, labels: Sequence[str], with_defect: bool = False) -> Sample:
    """Read a marked picture; boxes whose label is none of `labels` are left out."""
    known = [row for row, label in enumerate(marked.labels) if label in labels]
    corners = marked.boxes[known].astype(np.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    classes = np.array([labels.index(marked.labels[row]) for row in known], np.int64)
    return Sample(marked.image(), corners, classes, marked.defect() if with_defect else None)


def exact(sample: Sample, size: _Size, scale: tuple[float, float]) -> Sample:
    """Return the picture's upper left window of `size` as serving sees it: reduced, its border continued."""
    height, width = reduced_px(sample.image.shape, scale)
    reduced = np.empty((height, width), np.uint8)
    reduce_image(np.ascontiguousarray(sample.image), reduced)
    below, beside = max(0, size[0] - height), max(0, size[1] - width)
    image = cv2.copyMakeBorder(reduced[: size[0], : size[1]], 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return _seen_as(np.asarray(image, np.uint8), sample, np.array([[1 / scale[0], 0, 0], [0, 1 / scale[1], 0]]))


def draw(
    read: Callable[[], Sample],
    size: _Size,
    scale: tuple[float, float],
    rng: np.random.Generator,
    settings: Augmentation,
    mosaic: float = 0.0,
) -> Sample:
    """Return a changed window of `size` of a picture that `read` gives; of four with the chance `mosaic`."""
    if rng.random() >= mosaic:
        return _relit(_drawn(read(), size, scale, rng, settings), rng, settings.light)
    height, width = size
    y, x = (int(side * rng.uniform(*_MOSAIC_PART)) for side in size)
    places = ((0, 0, y, x), (0, x, y, width - x), (y, 0, height - y, x), (y, x, height - y, width - x))
    parts = [(_drawn(read(), (h, w), scale, rng, settings), top, left) for top, left, h, w in places]
    return _relit(_joined(parts, size), rng, settings.light)


class Drawn(Dataset[list[Sample]]):
    """Batch number → training samples of the recipe's input size, each drawn from the number, so that runs repeat."""

    def __init__(
        self,
        pictures: Sequence[Marked],
        labels: Sequence[str],
        recipe: FinderRecipe,
        plain_from: int,
        with_defect: bool = False,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        """Batches from number `plain_from` on hold no mosaics; `weights` [n] sum to 1: how often each is drawn."""
        self._pictures, self._labels, self._recipe = pictures, labels, recipe
        self._plain_from, self._with_defect, self._weights = plain_from, with_defect, weights

    def __getitem__(self, number: int) -> list[Sample]:
        recipe, rng = self._recipe, np.random.default_rng([self._recipe.seed, number])
        mosaic = 0.0 if number >= self._plain_from else recipe.augment.mosaic
        rows = iter(self._rows(rng, 4 * recipe.batch))

        def read() -> Sample:
            return read_sample(self._pictures[next(rows)], self._labels, self._with_defect)

        return [draw(read, recipe.input_px, recipe.scale, rng, recipe.augment, mosaic) for _ in range(recipe.batch)]

    def _rows(self, rng: np.random.Generator, count: int) -> list[int]:
        if self._weights is not None:
            return [int(row) for row in rng.choice(len(self._pictures), count, p=self._weights)]
        rounds = -(-count // len(self._pictures))
        return [int(row) for _ in range(rounds) for row in rng.permutation(len(self._pictures))][:count]


def _drawn(
    sample: Sample, size: _Size, scale: tuple[float, float], rng: np.random.Generator, settings: Augmentation
) -> Sample:
    """Return a window mirrored, turned, zoomed and shifted at random.

    It lies inside the picture as far as it can, and of a marked picture it shows the middle of one of its boxes.
    """
    height, width = sample.image.shape
    low, high = np.log(settings.zoom)
    spread = np.log(settings.stretch) / 2
    zoom = np.exp(rng.uniform(low, high) + np.array([1, -1]) * rng.uniform(-spread, spread)) / scale
    turn = np.diag(rng.choice((-1.0, 1.0), 2))
    if settings.turns and rng.random() < 0.5:
        turn = turn[::-1]
    linear = turn @ np.diag(zoom)
    corners = linear @ np.array([[0, width, 0, width], [0, 0, height, height]], np.float64)
    room = np.array(size[::-1]) - np.ptp(corners, axis=1)
    low, high = np.minimum(room, 0) - corners.min(1), np.maximum(room, 0) - corners.min(1)
    if len(sample.boxes):
        middle = linear @ rng.choice(sample.boxes).reshape(2, 2).mean(0)
        low, high = np.maximum(low, -middle), np.minimum(high, np.array(size[::-1]) - middle)
    shift = rng.uniform(low, np.maximum(low, high))
    return _window(sample, np.column_stack([linear, shift]), size)


def _window(sample: Sample, matrix: NDArray[np.float64], size: _Size) -> Sample:
    """Return what `matrix` [2,3] maps of a picture into a window; points are edges of pixels, not middles."""
    levels: NDArray[Any] = sample.image
    step = matrix
    while abs(np.linalg.det(step[:, :2])) <= _HALF_AREA and min(levels.shape) > 1:
        height, width = (side // 2 for side in levels.shape)
        levels = cv2.resize(levels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        step = step * (2, 2, 1)
    image = cv2.warpAffine(levels, _of_middles(step), size[::-1], borderMode=cv2.BORDER_REPLICATE)
    return _seen_as(np.asarray(image, np.uint8), sample, matrix)


def _seen_as(image: NDArray[np.uint8], sample: Sample, matrix: NDArray[np.float64]) -> Sample:
    """Return `image` with the marks of the picture that `matrix` [2,3] maps to it."""
    size = (image.shape[0], image.shape[1])
    defect = None
    if sample.defect is not None:
        levels = sample.defect.astype(np.uint8)
        defect = cv2.warpAffine(levels, _of_middles(matrix), size[::-1], flags=cv2.INTER_NEAREST) > 0
    corners = sample.boxes[:, [[0, 1], [2, 3]]] @ matrix[:, :2].T + matrix[:, 2]
    boxes, keep = _visible(np.concatenate([corners.min(1), corners.max(1)], 1), size)
    return Sample(image, boxes[keep], sample.classes[keep], defect)


def _of_middles(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the map of pixels' middles that is `matrix` for their edges."""
    middles = matrix.copy()
    middles[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return middles


def _visible(boxes: NDArray[np.float64], size: _Size) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return boxes cut to the window, and which of them are still worth learning."""
    inside = np.clip(boxes, 0, (size[1], size[0], size[1], size[0]))
    sides = inside[:, 2:] - inside[:, :2]
    whole = np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], 1), 1e-6)
    keep = (np.prod(sides, 1) / whole >= _LEAST_VISIBLE) & (sides.min(1, initial=np.inf) >= _LEAST_SIDE_PX)
    return inside.astype(np.float32), keep


def _joined(parts: Sequence[tuple[Sample, int, int]], size: _Size) -> Sample:
    """Return one picture of parts with their top and left."""
    image = np.empty(size, np.uint8)
    defect = None if parts[0][0].defect is None else np.zeros(size, np.bool_)
    for part, top, left in parts:
        height, width = part.image.shape
        image[top : top + height, left : left + width] = part.image
        if defect is not None and part.defect is not None:
            defect[top : top + height, left : left + width] = part.defect
    boxes = [part.boxes + np.array([left, top] * 2, np.float32) for part, top, left in parts]
    return Sample(image, np.concatenate(boxes), np.concatenate([part.classes for part, _, _ in parts]), defect)


def _relit(sample: Sample, rng: np.random.Generator, strength: float) -> Sample:
    if not strength:
        return sample
    relit = expose(sample.image.astype(np.float32), rng, strength)
    return Sample(np.clip(np.rint(relit), 0, 255).astype(np.uint8), sample.boxes, sample.classes, sample.defect)
