"""Finds the dark and bright regions of a frame against its background. One finder a camera, in the inspect thread."""

from copy import copy
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.flat_field import FlatField
from shadowline.kernel_cache import load_kernels
from station.config import RegionsConfig
from station.frame import Image
from station.regions.background import Background, sample_level
from station.regions.base import Regions
from station.regions.by_size import BySize
from station.regions.components import LEVEL, Scanner
from station.regions.labels import X0, Y1
from station.regions.merge import MAX_FRAGMENTS, merge, regions_of

__all__ = ["ShadowFinder"]

_SAMPLE_PITCH: Final = 32


class ShadowFinder:
    """The `RegionFinder` of shadows. It keeps buffers and background for the last two sizes of frame.

    Making one loads the kernels. `flat_field` must fit the size of the frames: `find` raises `CalibrationError`
    otherwise.
    """

    def __init__(self, config: RegionsConfig, flat_field: FlatField | None = None) -> None:
        load_kernels()
        self._config = config
        self._views = BySize(lambda image: _View(config, flat_field, image))

    def by(self, config: RegionsConfig) -> Self:
        """Return a finder by `config`, in which limits differ alone, that shares this one's buffers and background.

        Between two frames either may be used.
        """
        other = copy(self)
        other._config = config
        return other

    def find(self, image: Image) -> Regions:
        """Return the regions of `image` (H×W uint8 or uint16): new arrays, in order of falling area."""
        view = self._views.of(image)
        view.adopt(self._config)
        return view.find(image)

    def learn(self, image: Image) -> None:
        """Let the background follow `image`, the one that `find` was given last."""
        if (view := self._views.last) is not None:
            view.learn(image)


class _View:
    """Everything that belongs to one size and type of frame."""

    def __init__(self, config: RegionsConfig, flat_field: FlatField | None, image: Image) -> None:
        height, width = image.shape
        small = (max(height // config.scale, 1), max(width // config.scale, 1))
        self._shape = image.shape
        self._scale = (width / small[1], height / small[0])
        self._shift = 8 if image.dtype == np.uint8 else 0
        self._small: Image = np.empty(small if config.scale > 1 else (0, 0), image.dtype)
        self._smooth: Image = np.empty(small if config.smooth_px > 1 else (0, 0), image.dtype)
        self._scanner = Scanner(*small, config.cell_px)
        self._rows = np.empty(MAX_FRAGMENTS, np.int64)
        self._background = Background(config, self._scanner.grid_shape, self._fold(flat_field, config.cell_px, small))
        self._frames = 0
        self._overfull = 0
        self._frozen: NDArray[np.int64] | None = None
        self._hold(config)

    def adopt(self, config: RegionsConfig) -> None:
        """Let `config`, in which limits differ alone, hold from now on; the background stays as it was learnt."""
        if config is self._config:
            return
        self._hold(config)
        self._background.adopt(config)
        if self._frames:
            self._take_limits()

    def _hold(self, config: RegionsConfig) -> None:
        self._config = config
        self._dark_level = config.dark_level * LEVEL / (1 << self._shift)
        self._scanner.allow(config.max_part)
        pixel_px = self._scale[0] * self._scale[1]
        self._least = (
            max(round(config.speck_px / pixel_px), 1),
            round(config.merge_gap_px / self._scale[0]),
            max(round(config.min_area_px / pixel_px), 1),
            max(round(config.min_length_px / self._scale[0]), 1),
        )

    def find(self, image: Image) -> Regions:
        """Return the regions of `image`, and note whether the background is due to follow it."""
        self._frozen = None
        image = self._reduce(image)
        if sample_level(image, _SAMPLE_PITCH) < self._dark_level:
            return Regions.none("dark")
        if self._frames == 0 or self._config.background == "frame":
            self._background.start(image)
            self._take_limits()
        self._frames += 1
        count = self._scan(image)
        if count < 0 or count > self._config.max_regions:
            self._overfull += 1
            if self._overfull >= self._config.time_constant_frames:
                self._frames = self._overfull = 0
            return Regions.none("overfull")
        self._overfull = 0
        rows = self._scanner.table[self._rows[:count]]
        if self._config.background == "running" and self._frames % self._config.update_every_frames == 0:
            self._frozen = _boxes(rows)
        return regions_of(rows, self._shape[1], self._shape[0], self._scale) if count else Regions.none()

    def learn(self, image: Image) -> None:
        """Let the background follow `image` if it is due, but not under the regions that were found in it."""
        if self._frozen is not None:
            self._background.follow(self._reduce(image), self._frozen)
            self._take_limits()
            self._frozen = None

    def _scan(self, image: Image) -> int:
        """Return the number of regions, negative when the frame is over-full."""
        if not self._scanner.scan(image):
            return -1
        return merge(self._scanner.table, self._scanner.count, *self._least, self._rows)

    def _reduce(self, image: Image) -> Image:
        """Return `image` scaled and smoothed as configured, in C order."""
        config = self._config
        if config.scale > 1:
            height, width = self._small.shape
            cv2.resize(image, (width, height), self._small, interpolation=cv2.INTER_AREA)
            image = self._small
        if config.smooth_px > 1:
            cv2.blur(image, (config.smooth_px, config.smooth_px), self._smooth)
            image = self._smooth
        return image if image.flags.c_contiguous else image.copy()

    def _take_limits(self) -> None:
        low, high = self._background.limits()
        self._scanner.set_limits(low, high, shift=self._shift)

    def _fold(self, flat_field: FlatField | None, cell_px: int, small: tuple[int, int]) -> NDArray[np.float32] | float:
        """Give the flat field to the scanner and return its mean in each cell."""
        if flat_field is None:
            return 1.0
        gain = np.empty(small, np.float32)
        cv2.resize(flat_field.over(self._shape), small[::-1], gain, interpolation=cv2.INTER_AREA)
        self._scanner.set_gain(gain)
        return _cell_means(gain, cell_px)


def _boxes(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return x, y, w, h of `rows` of a scanner's table, in scanned pixels."""
    corners = rows[:, X0 : Y1 + 1]
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)


def _cell_means(gain: NDArray[np.float32], cell_px: int) -> NDArray[np.float32]:
    """Return the mean of `gain` in each cell, the last ones cut by the border."""
    rows, columns = np.arange(0, gain.shape[0], cell_px), np.arange(0, gain.shape[1], cell_px)
    sums = np.add.reduceat(np.add.reduceat(gain.astype(np.float64), rows, 0), columns, 1)
    heights = np.diff([*rows, gain.shape[0]])
    widths = np.diff([*columns, gain.shape[1]])
    means: NDArray[np.float32] = (sums / np.outer(heights, widths)).astype(np.float32)
    return means
