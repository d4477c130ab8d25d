"""Finds regions in a map of heat that a network draws of the frame: its components beyond a threshold. Inspect thread.

The map goes the way of the shadows: run lengths, merging, `Regions`. A frame that is cut into tiles has one map, in
which the tiles fade into each other, so that what lies across their borders is one region and found once.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import ConfigError
from shadowline.kernel_cache import load_kernels
from station.config import MapConfig
from station.frame import Image
from station.regions.base import Named, Regions
from station.regions.by_size import BySize
from station.regions.components import LEVEL, NEVER_DARK, Scanner
from station.regions.engines import OpenFinder
from station.regions.join import MapJoiner
from station.regions.labels import X0, Y1
from station.regions.merge import MAX_FRAGMENTS, merge, regions_of
from station.regions.reduce import Reducer

__all__ = ["MapFinder"]

_HOT: Final = 255 * LEVEL
"""Heat 1 as the scanner sees it, so that depth comes out in 255ths."""
_CELL_PX: Final = 16


class MapFinder:
    """The `RegionFinder` of heat maps and anomaly maps. It keeps buffers for the last two sizes of frame.

    A frame whose map is not finite is `not_finite`; a score is the peak of a region's heat. With a map a label, a
    region is of the one that is hottest over its box.
    """

    def __init__(self, config: MapConfig, opened: OpenFinder) -> None:
        """Load the kernels. Raises `ConfigError` when the lowest heat is not below the highest."""
        load_kernels()
        heat = _Heat.of(config, opened)
        self._views = BySize(lambda image: _View(config, opened, heat, image))

    def find(self, image: Image) -> Regions:
        """Return the regions of `image` (H×W uint8 or uint16): new arrays, in order of falling area."""
        return self._views.of(image).find(image)

    def learn(self, image: Image) -> None:
        """Learn nothing: what the network knows is in its file."""


@dataclass(frozen=True, slots=True)
class _Heat:
    """What raw heat means: `low` is 0, `high` is 1, and what is beyond `threshold` is a region."""

    low: float
    high: float
    threshold: float

    @classmethod
    def of(cls, config: MapConfig, opened: OpenFinder) -> Self:
        card = opened.engine.card
        low = card.low if config.low is None else config.low
        high = card.high if config.high is None else config.high
        if low >= high:
            raise ConfigError(f"[regions] model {config.model}: low {low:g} is not below high {high:g}")
        return cls(low, high, opened.threshold)

    def shown(self, raw: float) -> float:
        """Return `raw` from 0 to 1."""
        return min(max((raw - self.low) / (self.high - self.low), 0.0), 1.0)


class _View:
    """Everything that belongs to one size and type of frame."""

    def __init__(self, config: MapConfig, opened: OpenFinder, heat: _Heat, image: Image) -> None:
        height, width = image.shape
        card = opened.engine.card
        tiling = opened.tiling(image.shape)
        small = tiling.frame_px
        cells = (-(-small[0] // card.stride), -(-small[1] // card.stride))
        self._config, self._opened, self._heat = config, opened, heat
        self._size_px = (width, height)
        self._scale = (width / small[1] * card.stride, height / small[0] * card.stride)
        self._reducer = Reducer(image, tiling)
        self._joiner = MapJoiner(tiling, card.stride, max(len(card.labels), 1))
        self._hottest = np.empty(cells, np.float32)
        self._levels: NDArray[np.uint16] = np.empty(cells, np.uint16)
        self._scanner = _scanner(cells, heat.threshold, config.max_part)
        self._rows = np.empty(MAX_FRAGMENTS, np.int64)
        cell_px = self._scale[0] * self._scale[1]
        self._least = (
            1,
            round(config.merge_gap_px / self._scale[0]),
            max(round(config.min_area_px / cell_px), 1),
            1,
        )

    def find(self, image: Image) -> Regions:
        """Return the regions of `image`."""
        tiles = self._reducer.fill(image)
        if self._reducer.level < self._config.dark_level:
            return Regions.none("dark")
        heat = self._joiner.join(self._opened.engine, tiles)
        if not np.isfinite(heat).all():
            return Regions.none("not_finite")
        count = self._scan(heat)
        if count < 0 or count > self._config.max_regions:
            return Regions.none("overfull")
        return self._describe(heat, self._scanner.table[self._rows[:count]]) if count else Regions.none()

    def _scan(self, heat: NDArray[np.float32]) -> int:
        """Return the number of regions of `heat` [C,h,w], negative when there are too many."""
        hottest = heat.max(0, out=self._hottest)
        hottest -= self._heat.low
        hottest *= _HOT / (self._heat.high - self._heat.low)
        np.clip(hottest, 0, _HOT, out=hottest)
        np.copyto(self._levels, hottest, casting="unsafe")
        if not self._scanner.scan(self._levels):
            return -1
        return merge(self._scanner.table, self._scanner.count, *self._least, self._rows)

    def _describe(self, heat: NDArray[np.float32], rows: NDArray[np.int64]) -> Regions:
        """Return `rows` of the scanner's table as regions with scores and, with a map a label, names."""
        corners = rows[:, X0 : Y1 + 1].tolist()
        peaks = [self._levels[y0:y1, x0:x1].max() / _HOT for x0, y0, x1, y1 in corners]
        regions = regions_of(rows, *self._size_px, self._scale)
        return replace(
            regions,
            area=np.minimum(regions.area, regions.box[:, 2:].prod(1)),  # the last cells reach beyond the frame
            found_by=(self._opened.name,) * len(regions),
            score=np.array(peaks, np.float32),
            named=tuple(self._name(heat, one) for one in corners),
        )

    def _name(self, heat: NDArray[np.float32], corners: list[int]) -> Named | None:
        """Return the label whose map is hottest over a box of cells, and its peak there; None without labels."""
        if not self._opened.labels:
            return None
        x0, y0, x1, y1 = corners
        part = heat[:, y0:y1, x0:x1]
        index = int(part.mean((1, 2)).argmax())
        peak = self._heat.shown(float(part[index].max()))
        return Named(self._opened.labels[index], peak, self._config.naming == "confirm")


def _scanner(cells: tuple[int, int], threshold: float, max_part: float) -> Scanner:
    """Return the scanner of a map, with one limit everywhere."""
    scanner = Scanner(*cells, _CELL_PX, max_part=max_part)
    low = np.full(scanner.grid_shape, NEVER_DARK, np.int32)
    scanner.set_limits(low, np.full(scanner.grid_shape, round(threshold * _HOT), np.int32), shift=0)
    return scanner
