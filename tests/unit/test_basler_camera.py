"""The Basler driver against pylon's emulator. Only that layer is asked: the GigE layer would broadcast."""

import sys
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from shadowline.errors import CameraError, CameraLost, MissingExtra
from station.camera.basler import BaslerCamera, discover
from station.clock import HostClock
from station.config import BaslerConfig, SfncConfig, TriggerConfig
from station.frame import Exposure, InvalidReason
from tests.vendor_cameras import emulated_baslers

WIDTH, HEIGHT = 128, 64


@pytest.fixture(autouse=True)
def _emulator() -> Iterator[None]:
    with emulated_baslers():
        yield


def _sfnc(**settings: object) -> SfncConfig:
    return SfncConfig.model_validate({"width_px": WIDTH, "height_px": HEIGHT, "rate_hz": 90, **settings})


def _camera(sfnc: SfncConfig | None = None, **table: object) -> BaslerCamera:
    named = {"user_name": table.pop("user_name")} if "user_name" in table else {"serial": "0815-0000"}
    config = BaslerConfig.model_validate(
        {"type": "basler", "name": "top", "device_class": "BaslerCamEmu", "sfnc": sfnc or _sfnc(), **named, **table}
    )
    return BaslerCamera(config, HostClock())


def _taken(camera: BaslerCamera, count: int) -> Iterator[Exposure]:
    return islice((exposure for exposure in camera.exposures(1.0) if exposure is not None), count)


def _ids(exposures: list[Exposure]) -> list[int]:
    return [exposure.frame_id for exposure in exposures if exposure.frame_id is not None]


def test_discover_tells_how_to_open_each_device() -> None:
    found = discover("BaslerCamEmu")
    assert [device.serial for device in found] == ["0815-0000", "0815-0001"]
    config = BaslerConfig.model_validate({"name": "one", **found[1].table})
    with BaslerCamera(config, HostClock()) as camera:
        assert camera.identity == "Basler Emulation 0815-0001"


@pytest.mark.parametrize(
    ("pixel_format", "dtype", "spare_bits"),
    [("Mono8", np.uint8, 0), ("Mono10", np.uint16, 6), ("Mono12", np.uint16, 4), ("Mono16", np.uint16, 0)],
)
def test_pictures_are_at_full_scale(pixel_format: str, dtype: type[np.generic], spare_bits: int) -> None:
    with _camera(_sfnc(pixel_format=pixel_format)) as camera:
        image = next(_taken(camera, 1)).image
        assert image is not None
        assert image.dtype == dtype
        assert image.shape == (HEIGHT, WIDTH)
        assert image.max() > np.iinfo(dtype).max // 2
        assert not np.any(image & ((1 << spare_bits) - 1))


def test_own_pictures_arrive_in_their_order(tmp_path: Path) -> None:
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((HEIGHT, WIDTH), 10 + 40 * number, np.uint8))
    extra = {"TestImageSelector": "Off", "ImageFileMode": "On", "ImageFilename": str(tmp_path)}
    with _camera(_sfnc(extra=extra)) as camera:
        taken = [
            (exposure.frame_id, int(exposure.image[0, 0]))
            for exposure in _taken(camera, 12)
            if exposure.image is not None
        ]
    first_id, first_grey = taken[0]
    assert first_id is not None
    start = (first_grey - 10) // 40
    assert taken == [(first_id + step, 10 + 40 * ((start + step) % 5)) for step in range(12)]


def test_a_picture_of_another_size_is_handed_on_as_it_is(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.full((40, 52), 99, np.uint8))
    extra = {"TestImageSelector": "Off", "ImageFileMode": "On", "ImageFilename": str(tmp_path)}
    with _camera(_sfnc(extra=extra)) as camera:
        image = next(_taken(camera, 1)).image
        assert image is not None
        assert image.shape == (40, 52)
        assert np.all(image == 99)


def test_pictures_that_are_not_there_are_unreadable(tmp_path: Path) -> None:
    extra = {"TestImageSelector": "Off", "ImageFileMode": "On", "ImageFilename": str(tmp_path / "none")}
    with _camera(_sfnc(extra=extra)) as camera:
        taken = list(_taken(camera, 3))
    assert [exposure.fault for exposure in taken] == [InvalidReason.UNREADABLE] * 3


def test_just_the_pictures_that_failed_are_incomplete() -> None:
    with _camera(_sfnc(extra={"ForceFailedBufferCount": 5, "ForceFailedBuffer": True})) as camera:
        taken = list(_taken(camera, 20))
        assert camera.counters["failed"] == 5
        assert camera.counters["completed"] >= 20
    assert [exposure.fault for exposure in taken[:5]] == [InvalidReason.INCOMPLETE] * 5
    assert all(exposure.fault is None and exposure.image is not None for exposure in taken[5:])
    assert all(later == earlier + 1 for earlier, later in pairwise(_ids(taken)))


def test_a_removed_camera_is_lost_and_a_new_object_opens_it() -> None:
    with _camera() as camera:
        reader = _taken(camera, 1000)
        next(reader)
        camera._nodes.set("FirePnPCallback", True)  # only who holds the device can have it removed
        with pytest.raises(CameraLost, match=r"^camera top: Basler Emulation 0815-0000 was removed$"):
            list(reader)
    with _camera() as camera:
        assert len(list(_taken(camera, 3))) == 3


def test_a_camera_removed_while_it_is_opened_is_lost() -> None:
    with pytest.raises(CameraLost, match=r"^camera top: .* removed"):
        _camera(_sfnc(extra={"FirePnPCallback": True})).__enter__()
    with _camera() as camera:
        assert len(list(_taken(camera, 3))) == 3


def test_software_triggers_come_at_their_rate() -> None:
    trigger = TriggerConfig(source="Software", software_hz=20)
    with _camera(_sfnc(trigger=trigger)) as camera:
        taken = list(_taken(camera, 8))
    assert all(later == earlier + 1 for earlier, later in pairwise(_ids(taken)))
    assert (taken[-1].captured_ns - taken[0].captured_ns) / 1e9 >= 0.05 * 6


def test_without_a_trigger_there_is_none_left_on() -> None:
    with _camera(_sfnc(trigger=TriggerConfig(source="Line1"))) as camera:
        assert next(camera.exposures(0.2)) is None
    with _camera() as camera:
        assert len(list(_taken(camera, 2))) == 2


@pytest.mark.parametrize("table", [{"serial": "9"}, {"user_name": "left"}])
def test_an_unknown_device_is_told_with_those_that_are_there(table: dict[str, str]) -> None:
    seen = "Basler Emulation 0815-0000, Basler Emulation 0815-0001"
    with pytest.raises(CameraLost, match=f"^camera top: no device (9|left) at BaslerCamEmu; seen: {seen}$"):
        _camera(**table).__enter__()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width_px": 5000}, "Width = 5000: allowed are 1 to 4096"),
        ({"exposure_us": 9e7}, "ExposureTime = 90000000.0: allowed are 1 to 10000000"),
        ({"pixel_format": "Mono14"}, "PixelFormat = Mono14: allowed are Mono8, Mono10, Mono12, Mono16, "),
        ({"trigger": TriggerConfig(source="Line99")}, "TriggerSource = Line99: allowed are Software, Line1, "),
        ({"chunks": ("EncoderValue",)}, "ChunkSelector = EncoderValue: this camera has no such feature"),
        ({"extra": {"DeviceUserID": 3}}, "DeviceUserID = 3: does not take 3"),
        ({"extra": {"Sharpness": 3}}, "Sharpness = 3: this camera has no such feature"),
    ],
)
def test_a_setting_that_the_camera_does_not_take_is_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(CameraError) as caught:
        _camera(_sfnc(**settings)).__enter__()
    assert str(caught.value).startswith(f"camera top: {message}")
    assert not isinstance(caught.value, CameraLost)


def test_kept_settings_are_compared_and_not_set() -> None:
    with pytest.raises(CameraError, match=r"keep.*Width is \d+, not 128"):
        _camera(settings="keep").__enter__()


def test_a_missing_library_is_told_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypylon", None)
    with pytest.raises(MissingExtra, match=r"pip install 'shadowline\[basler\]'"):
        _camera().__enter__()


def test_a_closed_camera_does_not_deliver() -> None:
    with _camera() as camera:
        reader = camera.exposures(1.0)
        assert next(reader) is not None
    with pytest.raises(CameraError, match="camera top: not open"):
        next(reader)
