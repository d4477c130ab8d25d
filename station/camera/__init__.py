"""Cameras: the contract, the drivers that are shipped, and `open_camera`, which picks one by its configuration."""

import importlib
import operator
from typing import assert_never

from shadowline.errors import CameraError, StationError
from station.camera.aravis import AravisCamera
from station.camera.base import Camera
from station.camera.basler import BaslerCamera
from station.camera.gentl import GenTlCamera
from station.camera.opencv import OpenCvCamera
from station.camera.replay import ReplayCamera
from station.camera.simulated import SimulatedCamera
from station.clock import Clock
from station.config import (
    AravisConfig,
    BaslerConfig,
    CameraConfig,
    GenTlConfig,
    OpenCvConfig,
    PythonCameraConfig,
    ReplayConfig,
    SimulatedConfig,
)

__all__ = [
    "AravisCamera",
    "BaslerCamera",
    "Camera",
    "GenTlCamera",
    "OpenCvCamera",
    "ReplayCamera",
    "SimulatedCamera",
    "open_camera",
]

_MEMBERS = ("features", "identity", "counters", "exposures")


def open_camera(config: CameraConfig, clock: Clock) -> Camera:
    """Return the camera of `config`, made but not yet entered: entering opens the device.

    Raises `CameraError` when a driver outside the repository can't be imported or made.
    """
    match config:
        case SimulatedConfig():
            return SimulatedCamera(config, clock)
        case ReplayConfig():
            return ReplayCamera(config, clock)
        case AravisConfig():
            return AravisCamera(config, clock)
        case GenTlConfig():
            return GenTlCamera(config, clock)
        case BaslerConfig():
            return BaslerCamera(config, clock)
        case OpenCvConfig():
            return OpenCvCamera(config, clock)
        case PythonCameraConfig():
            return _from_factory(config, clock)
        case _:
            assert_never(config)


def _from_factory(config: PythonCameraConfig, clock: Clock) -> Camera:
    """Call the factory of a driver outside the repository; whatever goes wrong there becomes one line."""
    module, _, attribute = config.factory.partition(":")
    try:
        camera: Camera = operator.attrgetter(attribute)(importlib.import_module(module))(config, clock)
    except StationError:
        raise
    except Exception as error:  # code from outside may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CameraError(f"camera {config.name}: factory {config.factory} failed: {reason}") from error
    if lacking := [member for member in _MEMBERS if not hasattr(camera, member)]:
        raise CameraError(
            f"camera {config.name}: factory {config.factory} returned no camera but {camera!r}: no {', '.join(lacking)}"
        )
    return camera
