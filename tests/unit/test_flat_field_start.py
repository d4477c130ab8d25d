"""At the start a camera gets its own flat field, and one of other settings or another device is refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import Binding, CalibrationStore, Record
from shadowline.errors import CalibrationError, ConfigError
from station.binding import binding_of, camera_named, find_calibration, open_store, refuse_strangers
from station.config import Config
from station.flat_field import open_flat_field

SFNC = {
    "width_px": 40,
    "height_px": 30,
    "offset_x_px": 8,
    "offset_y_px": 4,
    "pixel_format": "Mono12",
    "exposure_us": 120.0,
    "gain": 3.0,
}
CAMERA = {"name": "top", "type": "aravis", "serial": "7", "sfnc": SFNC}


def config(folder: Path | None, camera: dict[str, Any] | None = None) -> Config:
    return Config.model_validate({"camera": [camera or CAMERA], "calibration": {"folder": folder}})


def save(folder: Path, binding: Binding, rows: int = 30, **figures: float) -> Record:
    arrays = {"gain": np.ones((rows, 40), np.float32), "dark": np.zeros((rows, 40), np.float32)}
    return CalibrationStore(folder).save("flat-field", "top", binding, {"level": 100.0} | figures, arrays, {})


def bound(settings: Config, identity: str = "Maker model 7") -> Binding:
    return binding_of(settings.camera[0], identity, np.zeros((30, 40), np.uint16))


def test_a_camera_gets_its_own_flat_field(tmp_path: Path) -> None:
    settings = config(tmp_path)
    assert open_flat_field(settings, settings.camera[0]) is None
    binding = bound(settings)
    assert binding.model_dump() == SFNC | {"camera": "Maker model 7", "lens": ""}
    save(tmp_path, binding)
    field = open_flat_field(settings, settings.camera[0])
    assert field is not None
    assert field.gain.shape == (30, 40)


def test_without_a_folder_there_is_none_and_a_command_says_so() -> None:
    settings = config(None)
    assert open_flat_field(settings, settings.camera[0]) is None
    with pytest.raises(ConfigError, match=r"\[calibration\] folder is missing"):
        open_store(settings)
    with pytest.raises(ConfigError, match="no camera side; there are: top"):
        camera_named(settings, "side")


@pytest.mark.parametrize("name", SFNC)
def test_another_setting_is_refused_by_name(tmp_path: Path, name: str) -> None:
    settings = config(tmp_path)
    save(tmp_path, bound(settings))
    other: Any = "Mono8" if name == "pixel_format" else SFNC[name] * 2  # type: ignore[operator]
    changed = config(tmp_path, CAMERA | {"sfnc": SFNC | {name: other}})
    with pytest.raises(CalibrationError, match=f"camera top: top flat-field 1 was made with {name} .* is configured"):
        find_calibration(changed, changed.camera[0], "flat-field")


def test_a_setting_that_is_left_to_the_camera_or_rounded_by_it_is_no_other(tmp_path: Path) -> None:
    settings = config(tmp_path)
    record = save(tmp_path, bound(settings))
    for sfnc in ({"pixel_format": "Mono12"}, SFNC | {"exposure_us": 120.05}):
        changed = config(tmp_path, CAMERA | {"sfnc": sfnc})
        assert find_calibration(changed, changed.camera[0], "flat-field") == record


def test_a_v4l2_camera_is_bound_to_its_controls(tmp_path: Path) -> None:
    camera = {"name": "top", "type": "opencv", "device": 0, "controls": {"exposure": 50, "gain": 3}}
    settings = config(tmp_path, camera)
    binding = binding_of(settings.camera[0], "", np.zeros((30, 40), np.uint8))
    assert (binding.exposure_us, binding.gain, binding.pixel_format) == (5000, 3, "Mono8")
    save(tmp_path, binding)
    changed = config(tmp_path, camera | {"controls": {"exposure": 60, "gain": 3}})
    with pytest.raises(CalibrationError, match=r"exposure_us 5000.0, but 6000.0 is configured"):
        find_calibration(changed, changed.camera[0], "flat-field")


def test_frames_that_are_not_the_cameras_size_are_refused() -> None:
    settings = config(None)
    with pytest.raises(CalibrationError, match="camera top: the frames have width_px 41, but 40 is configured"):
        binding_of(settings.camera[0], "", np.zeros((30, 41), np.uint16))


def test_another_device_is_refused_by_name(tmp_path: Path) -> None:
    settings = config(tmp_path)
    refuse_strangers(settings, settings.camera[0], "Maker model 8")
    save(tmp_path, bound(settings))
    refuse_strangers(settings, settings.camera[0], "Maker model 7")
    refuse_strangers(settings, settings.camera[0], "")
    with pytest.raises(CalibrationError, match="was made with Maker model 7, but this is Maker model 8"):
        refuse_strangers(settings, settings.camera[0], "Maker model 8")


@pytest.mark.parametrize("level", [0.0, -1.0, 300.0])
def test_a_flat_field_of_an_impossible_level_is_refused(tmp_path: Path, level: float) -> None:
    settings = config(tmp_path)
    save(tmp_path, bound(settings), level=level)
    with pytest.raises(CalibrationError, match=r"camera top: top flat-field 1: .* take it again"):
        open_flat_field(settings, settings.camera[0])


def test_rows_that_stand_on_top_are_told_to_the_flat_field(tmp_path: Path) -> None:
    settings = config(tmp_path, CAMERA | {"overlap_rows": 5})
    save(tmp_path, bound(settings))
    field = open_flat_field(settings, settings.camera[0])
    assert field is not None
    assert field.over((35, 40)).shape == (35, 40)
