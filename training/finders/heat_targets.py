"""What a heat map should say of a marked picture: a value a cell, from its mask or from its boxes. Pure.

A cell of which a quarter is masked counts as one whole, so that a thin crack is not lost between cells. A box has no
form, so it is hottest in its middle and falls to nothing at its border: boxes that touch stay two regions when the
map is cut at a threshold.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.finders.pictures import Sample

__all__ = ["target_heat"]

_WHOLE_PART: Final = 0.25
"""The part of a cell that must be masked for a heat of 1."""
_SLOPE_PART: Final = 0.3
"""How far a box's slope reaches in, as a part of the way from its border to its middle."""
_LEAST_CELLS: Final = 1.5
"""A narrower box is taken to be as wide as this."""


def target_heat(sample: Sample, maps: int, stride: int, widened: int = 0) -> NDArray[np.float32]:
    """Return the heat [maps,h,w] that a picture should have, in cells of `stride` pixels; its sides are multiples.

    With one map it holds defects of any class, else each class has its own. Where a mask tells where a defect is, that
    counts, `widened` by so many cells all around, and of several maps what of each box is masked.
    """
    height, width = (side // stride for side in sample.image.shape)
    heat = np.zeros((maps, height, width), np.float32)
    masked = None if sample.defect is None else _mask_heat(sample.defect, stride, widened)
    if masked is not None and maps == 1:
        heat[0] = masked
        return heat
    for corners, number in zip(sample.boxes.tolist(), sample.classes.tolist(), strict=True):
        one = _box_heat(corners, (height, width), stride)
        if masked is not None:
            one = np.where(one > 0, masked, np.float32(0))
        part = heat[number if maps > 1 else 0]
        np.maximum(part, one, out=part)
    return heat


def _mask_heat(defect: NDArray[np.bool_], stride: int, widened: int) -> NDArray[np.float32]:
    size = (defect.shape[1] // stride, defect.shape[0] // stride)
    part = np.asarray(cv2.resize(defect.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    heat = np.clip(part / _WHOLE_PART, 0, 1)
    return np.asarray(cv2.dilate(heat, np.ones([2 * widened + 1] * 2, np.uint8)), np.float32)


def _box_heat(corners: list[float], grid: tuple[int, int], stride: int) -> NDArray[np.float32]:
    """Return the heat of the shape `grid` of one box x0, y0, x1, y1."""
    x0, y0, x1, y1 = corners
    heat: NDArray[np.float32] = np.minimum(_slope(y0, y1, grid[0], stride)[:, None], _slope(x0, x1, grid[1], stride))
    return heat


def _slope(start: float, end: float, cells: int, stride: int) -> NDArray[np.float32]:
    """Return the heat of each cell along one axis: 1 around the middle, 0 from the border on."""
    half = max(end - start, _LEAST_CELLS * stride) / 2
    away = np.abs((np.arange(cells) + 0.5) * stride - (start + end) / 2) / half
    return np.asarray(np.clip((1 - away) / _SLOPE_PART, 0, 1), np.float32)
