"""The background of a surface and its noise, on a coarse grid, and the limits that follow from both. Pure.

A frame's own background is the median of cell means over a window wider than the defects; a running one follows it
with a time constant, except under regions. All values are 8-bit levels with the flat field divided out.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from shadowline.kernel_cache import kernel
from station.config import RegionsConfig
from station.frame import Image
from station.regions.components import LEVEL, NEVER_BRIGHT, NEVER_DARK

__all__ = ["Background", "sample_level"]

_CLIP_LEVELS: Final = 2.0
"""How far a cell's mean may stand off the median of its window and still enter the background."""
_NOISE_STEPS: Final = 8.0
"""Steps to a level when noise passes through the median, which takes whole numbers."""


class Background:
    """The background of frames of one size. `cell_gain` is the flat field's mean in each cell, or 1."""

    def __init__(
        self, config: RegionsConfig, grid_shape: tuple[int, int], cell_gain: NDArray[np.float32] | float
    ) -> None:
        self.level: NDArray[np.float32] = np.zeros(grid_shape, np.float32)
        self.noise: NDArray[np.float32] = np.zeros(grid_shape, np.float32)
        self._config = config
        self._cell_gain = cell_gain
        self._window = max(3, 2 * round(config.background_px / config.scale / config.cell_px / 2) + 1)
        self._follow = 1 - math.exp(-config.update_every_frames / config.time_constant_frames)
        self._mean = np.empty(grid_shape, np.float32)
        self._deviation = np.empty(grid_shape, np.float32)

    def start(self, image: Image) -> None:
        """Take the background of `image` alone, defects and all."""
        self.level, self.noise = self._measure(image)

    def follow(self, image: Image, boxes: NDArray[np.int64]) -> None:
        """Move towards the background of `image`, except in and next to `boxes` (int64 [n,4], x, y, w, h)."""
        level, noise = self._measure(image)
        cell = self._config.cell_px
        weight = np.full(level.shape, self._follow, np.float32)
        for x, y, w, h in boxes.tolist():
            weight[max(y // cell - 1, 0) : (y + h) // cell + 2, max(x // cell - 1, 0) : (x + w) // cell + 2] = 0
        self.level += weight * (level - self.level)
        self.noise += weight * (noise - self.noise)

    def adopt(self, config: RegionsConfig) -> None:
        """Let `config`, in which limits differ alone, hold for the next `limits`."""
        self._config = config

    def limits(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the low and the high limit of each cell, int32, in 1/256 level."""
        config = self._config
        sigmas = _across(config.noise_sigmas, self.noise.shape[1])
        margin = np.maximum(sigmas * self.noise, config.offset_levels)
        low = self.level * (1 - config.contrast) - margin
        high = self.level * (1 + config.contrast) + margin
        if config.polarity == "bright":
            low[:] = NEVER_DARK
        if config.polarity == "dark":
            high[:] = NEVER_BRIGHT / LEVEL
        ceiling = NEVER_BRIGHT / LEVEL
        return (
            (np.clip(low, 0, ceiling) * LEVEL).astype(np.int32),
            (np.clip(high, 0, ceiling) * LEVEL).astype(np.int32),
        )

    def _measure(self, image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return background level and noise of `image` alone."""
        _cell_statistics(image, self._config.cell_px, self._mean, self._deviation)
        to_level = np.float32(1.0 if image.dtype == np.uint8 else 1.0 / LEVEL)
        mean = self._mean * to_level / self._cell_gain
        noise = self._deviation * to_level / self._cell_gain
        middle = _median(mean, self._window)
        level = np.clip(mean, middle - _CLIP_LEVELS, middle + _CLIP_LEVELS)
        level = cv2.blur(level, (3, 3), borderType=cv2.BORDER_REPLICATE)
        return level, _median(noise * _NOISE_STEPS, self._window) / _NOISE_STEPS


def _across(sigmas: float | tuple[float, ...], columns: int) -> NDArray[np.float32]:
    """Return the margin of each column of cells: one for all, or one for each of the zones of equal width."""
    zones = np.atleast_1d(np.asarray(sigmas, np.float32))
    return zones[np.arange(columns) * len(zones) // columns]


def _median(grid: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Return the median of `grid` in a window, in whole numbers up to 255."""
    whole = np.clip(np.rint(grid), 0, 255).astype(np.uint8)
    return cv2.medianBlur(whole, window).astype(np.float32)


@kernel(
    *(
        f"void(Array({pixel}, 2, 'C', readonly=True), int64, float32[:,::1], float32[:,::1])"
        for pixel in ("uint8", "uint16")
    )
)
def _cell_statistics(image: Image, cell: int, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> None:
    """Write mean and standard deviation of each cell, from every second row."""
    height, width = image.shape
    sums = np.empty(width, np.float32)
    squares = np.empty(width, np.float32)
    for row in range(mean.shape[0]):
        sums[:] = 0
        squares[:] = 0
        lines = 0
        for y in range(row * cell, min((row + 1) * cell, height), 2):
            pixels = image[y]
            lines += 1
            for x in range(len(pixels)):
                value = np.float32(pixels[x])
                sums[x] += value
                squares[x] += value * value
        for column in range(mean.shape[1]):
            start, end = column * cell, min((column + 1) * cell, width)
            count = lines * (end - start)
            average = sums[start:end].sum() / count
            mean[row, column] = average
            deviation[row, column] = math.sqrt(max(squares[start:end].sum() / count - average * average, 0.0))


@kernel(
    *(f"float64(Array({pixel}, 2, 'C', readonly=True), int64)" for pixel in ("uint8", "uint16")),
)
def sample_level(image: Image, pitch: int) -> float:
    """Return the mean of the pixels at every `pitch`th row and column."""
    total = 0
    count = 0
    for y in range(0, image.shape[0], pitch):
        for x in range(0, image.shape[1], pitch):
            total += image[y, x]
            count += 1
    return total / count
