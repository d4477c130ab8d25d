"""Finding the regions of an image that deserve a name."""

from typing import assert_never, overload

from calibration.flat_field import FlatField
from station.config import (
    AnomalyConfig,
    CombineConfig,
    DetectorConfig,
    FinderConfig,
    HeatmapConfig,
    RegionsConfig,
    parts_of,
)
from station.regions.base import Named, RegionFinder, Regions
from station.regions.combine import CombineFinder
from station.regions.detector import DetectorFinder
from station.regions.engines import FinderLabels, FrameEngines, OpenFinder
from station.regions.heat import MapFinder
from station.regions.shadow import ShadowFinder

__all__ = [
    "FinderLabels",
    "FrameEngines",
    "Named",
    "OpenFinder",
    "RegionFinder",
    "Regions",
    "ShadowFinder",
    "open_finder",
    "reopen_finder",
]


@overload
def open_finder(config: RegionsConfig, flat_field: FlatField | None) -> RegionFinder: ...


@overload
def open_finder(config: FinderConfig, flat_field: FlatField | None, engines: FrameEngines) -> RegionFinder: ...


def open_finder(
    config: FinderConfig, flat_field: FlatField | None, engines: FrameEngines | None = None
) -> RegionFinder:
    """Return the finder that `config` asks for, kernels loaded and networks entered.

    `engines` runs the finder files of those that learned, for as long as it is entered; shadows need none. Raises
    `EngineError` for a finder file that can't be run, `ConfigError` for one that the configuration does not fit.
    """
    if isinstance(config, RegionsConfig):
        return ShadowFinder(config, flat_field)
    assert engines is not None, "a finder that learned needs engines"
    match config:
        case HeatmapConfig() | AnomalyConfig():
            return MapFinder(config, engines.open(config))
        case DetectorConfig():
            return DetectorFinder(config, engines.open(config))
        case CombineConfig():
            parts = [open_finder(part, flat_field, engines) for part in config.finders]
            return CombineFinder(parts, config.merge_iou)
        case _:
            assert_never(config)


def reopen_finder(
    finder: RegionFinder, held: FinderConfig, config: FinderConfig, engines: FrameEngines
) -> RegionFinder:
    """Return the `finder` of `held` by `config`, in which limits differ alone; it itself where none does.

    Buffers and backgrounds of shadows are shared with it, and so are engines.
    """
    if config == held:
        return finder
    if isinstance(finder, ShadowFinder) and isinstance(config, RegionsConfig):
        return finder.by(config)
    if isinstance(finder, CombineFinder) and isinstance(config, CombineConfig):
        parts = zip(finder.finders, parts_of(held), config.finders, strict=True)
        return CombineFinder([reopen_finder(part, of, to, engines) for part, of, to in parts], config.merge_iou)
    return open_finder(config, None, engines)
