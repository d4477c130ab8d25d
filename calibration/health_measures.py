"""What one frame tells of lamp, lens and sensor: light, focus, noise, and how the rolling direction lies. Pure.

Every figure is a median over places, so that a few defects do not move it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.frame_mean import Image
from shadowline.errors import CalibrationError

__all__ = ["CELLS", "DARK_LEVELS", "Meter", "Sample", "eight_bit", "middle", "middle_picture", "spread"]

Floats = NDArray[np.float32]

_PATCH_PX: Final = (64, 128)
_PATCHES: Final = (6, 8)
CELLS: Final = (16, 16)
DARK_LEVELS: Final = 8.0
"""Below it nothing can be measured."""
_WINDOW: Final = 33
"""Pixels of the quarter picture that each one is compared with: wider spots pass for light."""
_CLIP: Final = 0.10
"""A pixel counts as no further off its surroundings than this part: a defect that passes weighs little in a mean."""
_STILL: Final = 0.5
"""Two samples that correlate so well show the same piece of surface."""
_LEAST_TEXTURE: Final = 0.05
_LEAST_COHERENCE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """The measures of one frame; nan for what its surface does not tell. Levels are 8-bit grey levels.

    `light` float32 [16,16] is the mean level of each cell. `levels` and `variances` float32 [n] are those of patches:
    the variance is that between two frames where the scene is `still`, else that of the checkerboard of neighbours,
    which also counts texture as fine as a pixel. `focus` is the share of the fine texture across, free of noise and of
    the light's level. `turn_deg` is how far the rolling direction is off the picture's columns, `converge_deg` how
    much that changes from the left edge to the right. `relative` float32 [h/4,w/4] is each pixel's difference from its
    surroundings and its column's mean; it belongs to the meter until the next measurement.
    """

    level: float
    light: Floats
    levels: Floats
    variances: Floats
    focus: float
    turn_deg: float
    converge_deg: float
    still: bool
    relative: Floats


class Meter:
    """Measures frames of one size, one after the other. Keeps the frame before, to tell a standstill.

    Raises `CalibrationError` for frames too small to be cut into patches.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        height, width = shape
        if height < 2 * _PATCH_PX[0] or width < 2 * _PATCH_PX[1]:
            raise CalibrationError(
                f"optical health needs frames of {2 * _PATCH_PX[1]}×{2 * _PATCH_PX[0]} px or more, not {width}×{height}"
            )
        self._tops = _spread(height, *_PATCH_PX[:1], _PATCHES[0])
        self._lefts = _spread(width, *_PATCH_PX[1:], _PATCHES[1])
        count = len(self._tops) * len(self._lefts)
        self._patches = np.zeros((count, *_PATCH_PX), np.float32)
        self._before = np.zeros_like(self._patches)
        self._half = np.empty((height // 2, width // 2), np.uint8)
        self._quarter = np.empty((height // 4, width // 4), np.uint8)
        self._relative = np.zeros(self._quarter.shape, np.float32)
        self._relative_before = np.zeros(self._quarter.shape, np.float32)

    def measure(self, image: NDArray[np.uint8]) -> Sample:
        """Measure uint8 [H,W]."""
        self._cut(image)
        cv2.resize(image, self._half.shape[::-1], self._half, interpolation=cv2.INTER_AREA)
        cv2.resize(self._half, self._quarter.shape[::-1], self._quarter, interpolation=cv2.INTER_AREA)
        light = _cell_means(self._quarter.astype(np.float32))
        still = self._compare()
        levels = self._patches.mean((1, 2))
        turn_deg, converge_deg = _direction(image)
        return Sample(
            level=float(np.median(light)),
            light=light,
            levels=levels,
            variances=self._temporal(levels) if still else _checkerboard(self._patches),
            focus=_focus(self._patches, levels),
            turn_deg=turn_deg,
            converge_deg=converge_deg,
            still=still,
            relative=self._relative,
        )

    def _cut(self, image: NDArray[np.uint8]) -> None:
        self._patches, self._before = self._before, self._patches
        height, width = _PATCH_PX
        places = ((top, left) for top in self._tops for left in self._lefts)
        for patch, (top, left) in zip(self._patches, places, strict=True):
            patch[:] = image[top : top + height, left : left + width]

    def _compare(self) -> bool:
        """Make the relative picture and tell whether it is that of the frame before."""
        self._relative, self._relative_before = self._relative_before, self._relative
        relative, before = self._relative, self._relative_before
        quarter = self._quarter.astype(np.float32)
        cv2.divide(quarter, cv2.blur(quarter, (_WINDOW, _WINDOW)) + 1, relative)  # 1: a dark frame has no level
        relative -= cv2.reduce(relative, 0, cv2.REDUCE_AVG)
        np.clip(relative, -_CLIP, _CLIP, out=relative)
        norms = cv2.norm(relative) * cv2.norm(before)
        return norms > 0 and float(np.vdot(relative, before)) > _STILL * norms

    def _temporal(self, levels: Floats) -> Floats:
        """Return the variance of each patch between this frame and the one before, freed of flicker."""
        scale = levels / np.maximum(self._before.mean((1, 2)), 1)
        return np.asarray(_mean_square(self._patches - self._before * scale[:, None, None]) / 2, np.float32)


def _spread(length: int, size: int, most: int) -> list[int]:
    """Return the starts of up to `most` stretches of `size`, evenly over `length`."""
    return [round(start) for start in np.linspace(0, length - size, min(most, length // size))]


def _cell_means(plane: Floats) -> Floats:
    """Return float32 [16,16], the means over cells of nearly the same size."""
    sums = [cv2.reduce(plane[band], 0, cv2.REDUCE_SUM)[0] for band in _bands(len(plane))]
    return _gather(np.asarray(sums), len(plane))


def _bands(rows: int) -> list[slice]:
    edges = _edges(rows, CELLS[0])
    return [slice(start, end) for start, end in pairwise(edges)]


def _edges(length: int, cells: int) -> NDArray[np.intp]:
    return np.linspace(0, length, cells + 1).astype(np.intp)


def _gather(sums: Floats, rows: int) -> Floats:
    """Return the means in cells from `sums` [16,w], those of bands of `rows` altogether."""
    columns = _edges(sums.shape[1], CELLS[1])
    areas = np.outer(np.diff(_edges(rows, CELLS[0])), np.diff(columns))
    return np.asarray(np.add.reduceat(sums, columns[:-1], 1) / areas, np.float32)


def _mean_square(patches: Floats) -> Floats:
    return np.asarray(np.einsum("kij,kij->k", patches, patches) / patches[0].size, np.float32)


def _checkerboard(patches: Floats) -> Floats:
    """Return the noise variance of each patch, from differences that hold no smooth texture (Immerkær 1996)."""
    across = patches[:, :, 1:] - patches[:, :, :-1]
    return np.asarray(_mean_square(across[:, 1:] - across[:, :-1]) / 4, np.float32)


def _focus(patches: Floats, levels: Floats) -> float:
    """Return the texture between 1 and 2 px apart as a ratio of that between 2 and 4.

    White noise adds the same to the mean square of differences at every distance, so that it drops out of their
    differences; so does the contrast of the surface. Only columns are compared: motion blurs rows.
    """
    scale = np.maximum(levels, 1) ** 2
    steps = [np.median(_mean_square(patches[:, :, step:] - patches[:, :, :-step]) / scale) for step in (1, 2, 4)]
    if steps[2] - steps[0] < _LEAST_TEXTURE * steps[0] or steps[2] <= steps[1]:
        return float("nan")
    return float((steps[1] - steps[0]) / (steps[2] - steps[1]))


def _direction(image: NDArray[np.uint8]) -> tuple[float, float]:
    """Return turn and convergence of the rolling direction, from the structure tensor in each cell.

    At full size: in a smaller picture fine streaks alias and pull the angle towards the columns.
    """
    bands = [_tensor(image[band]) for band in _bands(len(image))]
    xx, yy, xy = (_gather(np.asarray(sums), len(image)) for sums in zip(*bands, strict=True))
    if np.median(np.hypot(2 * xy, xx - yy) / np.maximum(xx + yy, 1e-6)) < _LEAST_COHERENCE:
        return float("nan"), float("nan")
    angles = np.degrees(np.arctan2(2 * xy, xx - yy)) / 2
    turn = float(np.median(angles))
    reach = 3 * float(np.median(np.abs(angles - turn)))  # two standard deviations: beyond it is a defect
    angles = np.clip(angles, turn - reach, turn + reach)
    return turn, float(np.polyfit(np.linspace(-0.5, 0.5, CELLS[1]), angles.mean(axis=0), 1)[0])


def _tensor(band: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """Return the sums over rows of the products of gradients: across by across, along by along, across by along."""
    across, along = cv2.Scharr(band, cv2.CV_32F, 1, 0), cv2.Scharr(band, cv2.CV_32F, 0, 1)
    products = ((across, across), (along, along), (across, along))
    xx, yy, xy = (cv2.reduce(cv2.multiply(a, b), 0, cv2.REDUCE_SUM)[0] for a, b in products)
    return xx, yy, xy


def eight_bit(image: Image, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return `image` as uint8. Raises `CalibrationError` where it is not of `shape`."""
    if image.shape != shape:
        raise CalibrationError(
            f"the frame is {image.shape[1]}×{image.shape[0]} px and the baseline {shape[1]}×{shape[0]}: take a new one"
        )
    return np.asarray(image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=1 / 256), np.uint8)


def middle(values: Iterable[float]) -> float:
    """Return the mean of the middle half, nan where less than half are numbers: nearly as quiet as the mean, but a
    quarter of outliers on each side does not move it.
    """
    every = np.asarray(list(values))
    ordered = np.sort(every[np.isfinite(every)])
    if 2 * len(ordered) <= len(every):
        return math.nan
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def spread(values: Iterable[float]) -> float:
    """Return the standard deviation by the median of the distances from the median, nan where that is."""
    every = np.asarray(list(values))
    return float(1.4826 * np.median(np.abs(every - np.median(every))))


def middle_picture(pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the middle mean of each pixel."""
    ordered = np.sort(np.asarray(pictures), axis=0)
    cut = len(ordered) // 4
    return np.asarray(ordered[cut : len(ordered) - cut].mean(axis=0), np.float32)
