"""The GenTL driver against the producer in the genicam wheel, which has three devices."""

import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shadowline.errors import CameraError, CameraLost, MissingExtra
from station.camera.gentl import GenTlCamera, discover
from station.camera.gentl.nodes import load_nodes
from station.camera.gentl.producer import seen_devices
from station.clock import HostClock
from station.config import GenTlConfig, SfncConfig, TriggerConfig
from station.frame import Exposure
from tests.vendor_cameras import viky_producer


@pytest.fixture
def producer() -> Path:
    return viky_producer()


def _camera(producer: Path, serial: str = "0", sfnc: SfncConfig | None = None, **table: object) -> GenTlCamera:
    sfnc = sfnc or SfncConfig(width_px=120, height_px=100, rate_hz=100)
    named = {"user_name": table.pop("user_name")} if "user_name" in table else {"serial": serial}
    config = GenTlConfig.model_validate(
        {"type": "gentl", "name": "top", "producer": producer, "sfnc": sfnc, **named, **table}
    )
    return GenTlCamera(config, HostClock())


def _taken(camera: GenTlCamera, count: int) -> Iterator[Exposure]:
    return islice((exposure for exposure in camera.exposures(1.0) if exposure is not None), count)


def test_discover_tells_how_to_open_each_device(producer: Path) -> None:
    found = discover(producer)
    assert [device.serial for device in found] == ["0", "1", "2"]
    assert found[1].table == {"type": "gentl", "producer": str(producer), "serial": "1"}
    config = GenTlConfig.model_validate({"name": "one", **found[1].table})
    with GenTlCamera(config, HostClock()) as camera:
        assert camera.identity == "Machine Vision Games Ltd. Viky 1"


def test_pictures_show_what_the_device_drew(producer: Path) -> None:
    with _camera(producer) as camera:
        pictures = []
        for exposure in _taken(camera, 5):
            assert exposure.image is not None
            pictures.append(exposure.image.copy())
    assert all(picture.shape == (100, 120) for picture in pictures)
    assert all(np.unique(picture).size > 1 for picture in pictures)


def test_features_are_those_of_the_device(producer: Path) -> None:
    with _camera(producer) as camera:
        assert {"Width", "Height", "PixelFormat", "AcquisitionFrameRate", "FrameID"} <= camera.features
        assert not {"ExposureTime", "Gain", "TriggerMode"} & camera.features


def test_counters_follow_the_pictures(producer: Path) -> None:
    camera = _camera(producer)
    assert camera.counters == {}
    with camera:
        assert len(list(_taken(camera, 4))) == 4
        assert camera.counters["delivered"] >= 4
        assert camera.counters["incomplete"] == 0


def test_what_a_slow_reader_misses_is_missing_in_the_frame_ids(producer: Path) -> None:
    with _camera(producer, buffers=2) as camera:
        last = None
        for exposure in _taken(camera, 100):
            if last is not None and exposure.frame_id != last + 1:
                return
            last = exposure.frame_id
            HostClock().sleep(0.05)
    pytest.fail("a reader at 20 Hz got every picture of a camera at 100 Hz")


def test_two_cameras_share_a_producer(producer: Path) -> None:
    with _camera(producer, "0") as one, _camera(producer, "1") as two:
        assert next(_taken(one, 1)).frame_id is not None
        assert next(_taken(two, 1)).frame_id is not None
        one.__exit__(None, None, None)
        assert len(list(_taken(two, 3))) == 3


def test_a_second_opener_is_told_that_the_device_is_held(producer: Path) -> None:
    with (
        _camera(producer),
        pytest.raises(CameraLost, match=r"^camera top: .* Viky 0 is held by another program$"),
        _camera(producer),
    ):
        pass
    with _camera(producer) as camera:
        assert len(list(_taken(camera, 2))) == 2


@pytest.mark.parametrize("table", [{"serial": "7"}, {"user_name": "left"}])
def test_an_unknown_device_is_told_with_those_that_are_there(producer: Path, table: dict[str, str]) -> None:
    with pytest.raises(CameraLost, match=r"^camera top: no device (7|left) at .*viky.cti; seen: .*Viky 0, .*Viky 2$"):
        _camera(producer, **table).__enter__()


def test_a_producer_that_is_not_there_is_told(tmp_path: Path) -> None:
    viky_producer()
    with pytest.raises(CameraError, match=r"^camera top: the GenTL producer .*/none\.cti is not there$"):
        _camera(tmp_path / "none.cti").__enter__()


def test_a_file_that_is_no_producer_is_told(tmp_path: Path) -> None:
    viky_producer()
    text = tmp_path / "text.cti"
    text.write_text("no library")
    with pytest.raises(CameraError, match=r"^camera top: .*/text\.cti can't be used as a GenTL producer: ") as caught:
        _camera(text).__enter__()
    assert not isinstance(caught.value, CameraLost)


def test_a_library_that_is_no_producer_is_told(tmp_path: Path) -> None:
    viky_producer()
    import _ctypes

    library = shutil.copy(_ctypes.__file__, tmp_path / "other.cti")
    with pytest.raises(CameraError, match=r"^camera top: .*/other\.cti can't be used as a GenTL producer: "):
        _camera(library).__enter__()


@pytest.mark.parametrize(
    ("sfnc", "message"),
    [
        (SfncConfig(width_px=5000), "Width = 5000: allowed are 100 to 800"),
        (SfncConfig(rate_hz=1000), "AcquisitionFrameRate = 1000.0: allowed are 1 to 200"),
        (SfncConfig(pixel_format="Mono12"), "PixelFormat = Mono12: allowed are RGBa8, Mono8"),
        (SfncConfig(exposure_us=50), "ExposureTime = 50.0: this camera has no such feature"),
        (SfncConfig(trigger=TriggerConfig(source="Line0")), "TriggerSelector = FrameStart: this camera has no such"),
        (SfncConfig(extra={"PayloadSize": 5}), "PayloadSize = 5: can't be set as the camera is set now"),
        (SfncConfig(extra={"Width": "wide"}), "Width = wide: "),
        (SfncConfig(chunks=("EncoderValue",)), "ChunkSelector = EncoderValue: allowed are "),
    ],
)
def test_a_setting_that_the_camera_does_not_take_is_told(producer: Path, sfnc: SfncConfig, message: str) -> None:
    with pytest.raises(CameraError) as caught:
        _camera(producer, sfnc=sfnc).__enter__()
    assert str(caught.value).startswith(f"camera top: {message}")
    assert not isinstance(caught.value, CameraLost)


class _Cable:
    """The way to a device, which can be cut."""

    def __init__(self, port: Any) -> None:
        self.url_info_list = port.url_info_list
        self.name = port.name
        self.cut = False
        self._port = port

    def read(self, address: int, length: int) -> Any:
        self._check()
        return self._port.read(address, length)

    def write(self, address: int, value: bytes) -> None:
        self._check()
        self._port.write(address, value)

    def _check(self) -> None:
        from genicam import gentl

        if self.cut:
            raise gentl.IoException("no answer")


def test_a_device_that_no_longer_answers_is_lost(producer: Path) -> None:
    with seen_devices(producer, "camera top") as devices:
        from genicam import gentl

        device = devices[0].create_device()
        device.open(gentl.DEVICE_ACCESS_FLAGS_LIST.DEVICE_ACCESS_EXCLUSIVE)
        try:
            cable = _Cable(device.remote_port)
            nodes = load_nodes(cable, "camera top")
            nodes.set("Width", 200)
            cable.cut = True
            with pytest.raises(CameraLost, match=r"^camera top: Width can't be set: no answer$"):
                nodes.set("Width", 300)
            with pytest.raises(CameraLost, match=r"^camera top: Height can't be read: no answer$"):
                nodes.get("Height")
        finally:
            device.close()


def test_kept_settings_are_compared_and_not_set(producer: Path) -> None:
    with _camera(producer, sfnc=SfncConfig(width_px=200)):
        pass
    wanted = SfncConfig(width_px=200, height_px=101)
    with pytest.raises(CameraError, match=r"keep.*Height is \d+, not 101"):
        _camera(producer, sfnc=wanted, settings="keep").__enter__()


def test_a_missing_library_is_told_with_its_pip_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "genicam", None)
    with pytest.raises(MissingExtra, match=r"pip install 'shadowline\[gentl\]'"):
        _camera(tmp_path / "any.cti").__enter__()


def test_a_closed_camera_does_not_deliver(producer: Path) -> None:
    with _camera(producer) as camera:
        reader = camera.exposures(1.0)
        assert next(reader) is not None
    with pytest.raises(CameraError, match="camera top: not open"):
        next(reader)
