"""What a configured camera's calibration is bound to, and the refusal of one that is not its own. Main thread."""

from collections.abc import Iterator
from typing import get_args

import numpy as np

from calibration import Binding, CalibrationStore, Kind, Record
from shadowline.errors import CalibrationError, ConfigError
from station.config import CameraConfig, Config, GenicamBase, OpenCvConfig, SimulatedConfig
from station.frame import Image

__all__ = ["binding_of", "camera_named", "find_calibration", "open_store", "refuse_stranger", "refuse_strangers"]

_UVC_STEP_US = 100.0  # V4L2_CID_EXPOSURE_ABSOLUTE counts in these
_TOLERANCE = 0.001  # a camera rounds exposure and gain to its own steps


def open_store(config: Config) -> CalibrationStore:
    """Return the calibration folder of `config`. Raises `ConfigError` where it names none."""
    if config.calibration.folder is None:
        raise ConfigError('[calibration] folder is missing: say where calibrations are kept, folder = "calibrations"')
    return CalibrationStore(config.calibration.folder)


def binding_of(camera: CameraConfig, identity: str, frame: Image, lens: str = "") -> Binding:
    """Return what `frame` and others like it, taken by `camera` as it is configured, are bound to.

    Raises `CalibrationError` where the frame can't be from this camera.
    """
    height, width = frame.shape
    pixel_format = "Mono8" if frame.dtype == np.uint8 else "Mono16"
    known = {"pixel_format": pixel_format} | _configured(camera) | {"width_px": width, "height_px": height}
    binding = Binding.model_validate({"camera": identity, "lens": lens} | known)
    if differences := list(_differences(binding, camera)):
        raise CalibrationError(f"camera {camera.name}: the frames have {'; '.join(differences)}")
    return binding


def camera_named(config: Config, name: str) -> CameraConfig:
    """Return the camera of this name. Raises `ConfigError` where there is none."""
    for camera in config.camera:
        if camera.name == name:
            return camera
    raise ConfigError(f"no camera {name}; there are: {', '.join(camera.name for camera in config.camera)}")


def find_calibration(config: Config, camera: CameraConfig, kind: Kind, number: int | None = None) -> Record | None:
    """Return the calibration of this kind that `camera` uses, None where it has none; with `number`, that one.

    Raises `CalibrationError`, naming what differs, for one that was made with other settings than are configured.
    What the configuration does not say is not compared.
    """
    if config.calibration.folder is None:
        return None
    store = CalibrationStore(config.calibration.folder)
    record = store.current(kind, camera.name) if number is None else store.numbered(kind, camera.name, number)
    if record is not None and (differences := list(_differences(record.binding, camera))):
        raise CalibrationError(
            f"camera {camera.name}: {record.title} was made with {'; '.join(differences)}: "
            f"calibrate again, or choose another with station calibrate use"
        )
    return record


def refuse_strangers(config: Config, camera: CameraConfig, identity: str) -> None:
    """Raise `CalibrationError` when what `camera` uses was made with another device than `identity`. Any thread."""
    records = [find_calibration(config, camera, kind) for kind in get_args(Kind)]
    of_recipes = {recipe.limit[camera.name] for recipe in config.recipe.values() if camera.name in recipe.limit}
    records += [find_calibration(config, camera, "limit", number) for number in of_recipes]
    for record in records:
        if record is not None:
            refuse_stranger(record, identity)


def refuse_stranger(record: Record, identity: str) -> None:
    """Raise `CalibrationError` when `record` was made with another device than the one that says it is `identity`.

    Where either is not known, nothing is compared.
    """
    if record.binding.camera and identity and record.binding.camera != identity:
        raise CalibrationError(
            f"camera {record.camera}: {record.title} was made with {record.binding.camera}, but this is {identity}: "
            "calibrate again, or choose another with station calibrate use"
        )


def _differences(binding: Binding, camera: CameraConfig) -> Iterator[str]:
    for name, here in _configured(camera).items():
        there = getattr(binding, name)
        if there is None or here == there:
            continue
        if isinstance(here, float) and abs(here - there) <= _TOLERANCE * abs(there):
            continue
        yield f"{name} {there}, but {here} is configured"


def _configured(camera: CameraConfig) -> dict[str, float | int | str]:
    """Return what the configuration says for certain of a camera's frames, by the names of `Binding`."""
    said: dict[str, float | int | str | None] = {}
    match camera:
        case SimulatedConfig():
            said = {"width_px": camera.width_px, "height_px": camera.height_px, "pixel_format": "Mono8"}
        case GenicamBase():
            names = ("width_px", "height_px", "offset_x_px", "offset_y_px", "pixel_format", "exposure_us", "gain")
            said = {name: getattr(camera.sfnc, name) for name in names}
        case OpenCvConfig():
            exposure = camera.controls.get("exposure")
            said = {
                "width_px": camera.width_px,
                "height_px": camera.height_px,
                "exposure_us": None if exposure is None else exposure * _UVC_STEP_US,
                "gain": camera.controls.get("gain"),
            }
        case _:
            pass
    return {name: value for name, value in said.items() if value is not None}
