"""The table `[calibration]`. Pure."""

from typing import Annotated

from pydantic import Field

from calibration.health_limits import HealthLimits
from station.config.table import ConfigPath, Table

__all__ = ["CalibrationConfig", "HealthConfig"]


class HealthConfig(Table, HealthLimits):
    """How far lamp, lens and sensor may be from their baseline before it is told."""


class CalibrationConfig(Table):
    """Where calibrations are kept; the one in use of each camera and kind is loaded at the start."""

    folder: ConfigPath | None = None
    """The folder that `station calibrate` writes; without it the station runs uncalibrated."""
    health_every_frames: Annotated[int, Field(ge=0, le=100_000)] = 20
    """About every so many frames one is a sample for the watch over lamp and optics; 0 takes none."""
    health: HealthConfig = HealthConfig()
    """Limits of that watch."""
