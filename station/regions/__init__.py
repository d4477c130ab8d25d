"""Finding the regions of an image that deserve a name."""

from calibration.flat_field import FlatField
from station.config import RegionsConfig
from station.regions.base import RegionFinder, Regions
from station.regions.shadow import ShadowFinder

__all__ = ["RegionFinder", "Regions", "ShadowFinder", "open_finder"]


def open_finder(config: RegionsConfig, flat_field: FlatField | None) -> RegionFinder:
    """Return the finder that `config` asks for, kernels loaded."""
    return ShadowFinder(config, flat_field)
