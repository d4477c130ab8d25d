"""What a heat map finds on marked pictures, by the station's own finder, at every threshold; which to suggest. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines import FakeFrameEngine, Found, FrameEngine
from station.config import HeatmapConfig
from station.regions.base import Regions
from station.regions.engines import OpenFinder
from station.regions.heat import MapFinder
from training.assess.cover import Cover, by_boxes, by_mask
from training.data.marked import Marked
from training.finders.heat_recipe import HeatRecipe

__all__ = ["THRESHOLDS", "Sweep", "choose_threshold", "find_at", "sweep"]

THRESHOLDS: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
_TILES: Final = 64


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was found in p pictures at t thresholds.

    `defects` int64 [p] are marked boxes, or components of masks; `met` int64 [t,p] those that regions meet, as
    `training.assess` has it; `regions` and `false` int64 [t,p] all regions and those that meet none.
    """

    defects: NDArray[np.int64]
    met: NDArray[np.int64]
    regions: NDArray[np.int64]
    false: NDArray[np.int64]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which pictures are defect-free, [p]."""
        return np.asarray(self.defects == 0)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the defects that are met, [t]; 0 where there are none."""
        return np.asarray(self.met.sum(1) / max(int(self.defects.sum()), 1))

    @property
    def regions_a_picture(self) -> NDArray[np.float64]:
        """Mean number of regions, [t]."""
        return np.asarray(self.regions.mean(1))

    @property
    def false_a_good_picture(self) -> NDArray[np.float64]:
        """Mean number of regions of the defect-free pictures, [t]; 0 where there are none."""
        return np.asarray(self.regions[:, self.good].sum(1) / max(int(self.good.sum()), 1))

    def cost(self, recipe: HeatRecipe) -> NDArray[np.float64]:
        """Return what the recipe allows so much of, as a part of that, [t]: above 1 is too much."""
        if self.good.any():
            return self.false_a_good_picture / max(recipe.allowed_false, 1e-9)
        return self.regions_a_picture / recipe.allowed_regions


def sweep(engine: FrameEngine, pictures: Sequence[Marked]) -> Sweep:
    """Return what the station finds in `pictures` with an entered engine at each of `THRESHOLDS`."""
    finders = _finders(engine, THRESHOLDS)
    rows = []
    for picture in pictures:
        image, compare = picture.image(), _comparing(picture)
        rows.append([_count(compare, finder.find(image)) for finder in finders])
    table = np.array(rows, np.int64).reshape(-1, len(THRESHOLDS), 4).transpose(2, 1, 0)
    return Sweep(table[0, 0], table[1], table[2], table[3])


def find_at(engine: FrameEngine, threshold: float, image: NDArray[np.uint8]) -> Regions:
    """Return the regions that the station finds in one picture with an entered engine."""
    return _finders(engine, [threshold])[0].find(image)


def choose_threshold(found: Sweep, recipe: HeatRecipe) -> float:
    """Return the threshold with the best recall among those that cost no more than allowed, of equal ones the middle.

    Where all cost more, the cheapest.
    """
    cost, recall = found.cost(recipe), found.recall
    allowed = cost <= 1
    if not allowed.any():
        return THRESHOLDS[int(cost.argmin())]
    best = np.flatnonzero(allowed & (recall == recall[allowed].max()))
    return THRESHOLDS[int(best[len(best) // 2])]


def _finders(engine: FrameEngine, thresholds: Sequence[float]) -> list[MapFinder]:
    """Return the station's finder at each threshold; all ask the network but once for a picture."""

    @lru_cache(maxsize=_TILES)
    def answer(shape: tuple[int, ...], content: bytes) -> Found:
        found = engine.run(np.frombuffer(content, np.uint8).reshape(shape))
        return {name: part.copy() for name, part in found.items()}

    asked = FakeFrameEngine(engine.card, lambda frames: answer(frames.shape, frames.tobytes()))
    asked.__enter__()
    configs = [HeatmapConfig(type="heatmap", model=Path("heat"), threshold=one) for one in thresholds]
    return [MapFinder(config, OpenFinder(config, asked)) for config in configs]


def _comparing(picture: Marked) -> Callable[[NDArray[np.int32]], Cover]:
    """Return what compares regions with the marks of a picture, read once: its mask, or without one its boxes."""
    if picture.mask is not None:
        return partial(by_mask, picture.defect())
    return lambda regions: by_boxes(picture.boxes, regions, picture.size_px)


def _count(compare: Callable[[NDArray[np.int32]], Cover], found: Regions) -> tuple[int, int, int, int]:
    """Return defects, those that are met, regions and false ones; an over-full frame is as many regions as may be."""
    cover = compare(found.box)
    most = HeatmapConfig.model_fields["max_regions"].default if found.invalid else 0
    return len(cover.met), int(cover.met.sum()), len(found) + most, int(cover.false.sum()) + most
