"""The `aravis` driver against a GigE Vision camera in a process of its own, on a wire that nothing leaves."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import numpy as np
import pytest

from shadowline.errors import CameraError, CameraLost, MissingExtra
from station.camera import AravisCamera
from station.camera.aravis import discover
from station.clock import HostClock
from station.config import AravisConfig, SfncConfig, TriggerConfig
from station.frame import Exposure, InvalidReason
from tests.gige import CAMERA, OTHER_CAMERA, GigeCamera, Wire
from tests.gige_chunk_server import encoder_of
from tests.gige_server import number_of, whole_rows

WIDTH, HEIGHT = 96, 64
LONGEST_LEAVING_S = 6.0  # one call of the library on a dead camera, of 2.4 s, and a full machine
LATE_S = 1.0  # a busy machine

Cut = Callable[[Wire, GigeCamera], None]
WAYS_TO_GO = {
    "killed": lambda _, gige: gige.kill(),
    "frozen": lambda _, gige: gige.freeze(),
    "unplugged": lambda wire, _: wire.unplug(),
}
gone = pytest.mark.parametrize("cut", WAYS_TO_GO.values(), ids=WAYS_TO_GO)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as wire, wire.at_station():
        yield wire


@pytest.fixture
def gige(wire: Wire) -> Iterator[GigeCamera]:
    with GigeCamera(wire) as gige:
        yield gige


def _camera(*, sfnc: dict[str, Any] | None = None, **config: Any) -> AravisCamera:
    if not {"serial", "user_name", "address"} & config.keys():
        config["address"] = CAMERA
    settings = SfncConfig(**{"width_px": WIDTH, "height_px": HEIGHT, "rate_hz": 100.0, **(sfnc or {})})
    return AravisCamera(AravisConfig(type="aravis", name="top", sfnc=settings, **config), HostClock())


def _each(camera: AravisCamera, count: int) -> Iterator[Exposure]:
    """Yield the first exposures; each picture is there until the next."""
    return islice((exposure for exposure in camera.exposures(0.5) if exposure is not None), count)


def _taken(camera: AravisCamera, count: int) -> list[Exposure]:
    """Return the first exposures; only the last picture is still there."""
    return list(_each(camera, count))


def _read_until_lost(camera: AravisCamera, within_s: float) -> str:
    """Return what `CameraLost` says; no wait for it is longer than asked."""
    end_s = before_s = time.monotonic()
    end_s += within_s
    with pytest.raises(CameraLost) as caught:  # noqa: PT012
        for _ in camera.exposures(0.25):
            assert time.monotonic() - before_s < 0.25 + LATE_S
            assert time.monotonic() < end_s
            before_s = time.monotonic()
    return str(caught.value)


def test_delivers_what_the_camera_drew(gige: GigeCamera) -> None:
    start_ns = time.time_ns()
    with _camera() as camera:
        assert camera.identity == f"Aravis Fake {gige.serial}"
        assert {"Width", "ExposureTime", "Gain", "FrameID"} <= camera.features
        for exposure in camera.exposures(0.5):
            assert exposure is not None
            assert exposure.image is not None
            assert exposure.valid_rows is None
            assert whole_rows(exposure.image, number_of(exposure.image)) == HEIGHT
            assert start_ns < exposure.captured_ns < time.time_ns()
            assert exposure.device_ns
            if number_of(exposure.image) > 5:
                break
        assert camera.counters["completed_buffers"] > 5
        assert camera.counters["failures"] == 0
    assert camera.counters == {}


def test_frame_ids_go_on_where_the_cameras_16_bits_end(gige: GigeCamera) -> None:
    with _camera(sfnc={"rate_hz": 500.0}) as camera:
        shifts = set()
        for exposure in camera.exposures(0.5):
            assert exposure is not None
            assert exposure.image is not None
            assert exposure.frame_id is not None
            shifts.add(exposure.frame_id - number_of(exposure.image))
            if exposure.frame_id > 65_545:
                break
    assert len(shifts) == 1


@pytest.mark.parametrize("pixel_format", ["Mono8", "Mono16"])
def test_takes_the_pixel_format_that_is_configured(gige: GigeCamera, pixel_format: str) -> None:
    with _camera(sfnc={"pixel_format": pixel_format}) as camera:
        (exposure,) = _taken(camera, 1)
        assert exposure.image is not None
        assert exposure.image.dtype == (np.uint8 if pixel_format == "Mono8" else np.uint16)
        assert whole_rows(exposure.image, number_of(exposure.image)) == HEIGHT


def test_a_picture_of_another_pixel_format_is_unsupported(gige: GigeCamera) -> None:
    with _camera(sfnc={"extra": {"PixelFormat": "Mono16"}}) as camera:
        (exposure,) = _taken(camera, 1)
    assert exposure.fault is InvalidReason.UNSUPPORTED
    assert exposure.image is None


@pytest.mark.parametrize(
    ("sfnc", "message"),
    [
        ({"width_px": 5000}, "Width = 5000: allowed are 1 to 2048"),
        ({"exposure_us": 5.0}, "ExposureTimeAbs = 5.0: allowed are 10 to 10000000"),
        ({"gain": 99.0}, "GainRaw = 99.0: allowed are 0 to 10"),
        ({"black_level": 3.0}, "BlackLevel = 3.0: this camera has no such feature"),
        ({"pixel_format": "Mono12"}, "PixelFormat = Mono12: allowed are .*Mono8"),
        ({"extra": {"PixelFormat": "Mono99"}}, "PixelFormat = Mono99: allowed are .*Mono8"),
        ({"extra": {"Nonsense": 1}}, "Nonsense = 1: this camera has no such feature"),
        ({"extra": {"Width": "wide"}}, "Width = wide: does not take 'wide'"),
        ({"extra": {"DeviceVendorName": "me"}}, "DeviceVendorName = me: "),
        ({"extra": {"Root": 1}}, "Root = 1: "),
    ],
)
def test_settings_are_refused_by_name(gige: GigeCamera, sfnc: dict[str, Any], message: str) -> None:
    with pytest.raises(CameraError, match=f"^camera top: {message}") as caught, _camera(sfnc=sfnc):
        pass
    assert not isinstance(caught.value, CameraLost)
    with _camera() as camera:  # nobody holds it
        assert _taken(camera, 1)


def test_settings_that_are_kept_are_compared(gige: GigeCamera) -> None:
    with _camera():
        pass
    with _camera(settings="keep") as camera:
        assert _taken(camera, 1)
    with (
        pytest.raises(CameraError, match=r"Width is 96, not 100; Height is 64, not 99"),
        _camera(settings="keep", sfnc={"width_px": 100, "height_px": 99}),
    ):
        pass


def test_is_found_by_serial_and_by_mac(gige: GigeCamera) -> None:
    (found,) = discover()
    assert (found.driver, found.vendor, found.serial, found.address) == ("aravis", "Aravis", gige.serial, CAMERA)
    for table in ({"serial": gige.serial}, {"address": "00:00:00:00:00:00"}):
        with _camera(**table) as camera:
            assert _taken(camera, 1)
    config = AravisConfig.model_validate({"name": "top", **found.table})
    with AravisCamera(config, HostClock()) as camera:
        assert _taken(camera, 1)


def test_a_serial_that_nobody_has_names_those_seen(gige: GigeCamera) -> None:
    with pytest.raises(CameraLost, match=rf"serial = X: no such device; seen: Aravis Fake {gige.serial}"):
        _camera(serial="X").__enter__()


def test_a_serial_that_two_have_is_refused(wire: Wire) -> None:
    with GigeCamera(wire, serial="TWIN"), GigeCamera(wire, address=OTHER_CAMERA, serial="TWIN"):
        with pytest.raises(CameraError, match="serial = TWIN: 2 devices: ") as caught:
            _camera(serial="TWIN").__enter__()
        assert not isinstance(caught.value, CameraLost)


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        (OTHER_CAMERA, CameraLost, f"{OTHER_CAMERA} can't be reached: no answer"),
        ("192.0.2.1", CameraLost, "192.0.2.1 can't be reached: Network is unreachable"),
        ("top.example", CameraError, "address = top.example: is no IPv4 address and no MAC"),
    ],
)
def test_an_address_without_a_camera(wire: Wire, address: str, kind: type[CameraError], message: str) -> None:
    pytest.importorskip("gi", reason="PyGObject is not installed: sh tests/cameras-install.sh")
    with pytest.raises(kind, match=f"^camera top: {message}"):
        _camera(address=address).__enter__()


def test_a_camera_of_another_program_is_waited_for(gige: GigeCamera) -> None:
    with _camera() as first:
        with pytest.raises(CameraLost, match=f"Aravis Fake {gige.serial} is held by another program"):
            _camera().__enter__()
        assert _taken(first, 3)
    with _camera() as second:
        assert _taken(second, 1)


@gone
def test_a_camera_that_is_gone_is_lost_and_left_in_time(wire: Wire, gige: GigeCamera, cut: Cut) -> None:
    with ExitStack() as stack:
        camera = stack.enter_context(_camera())
        assert _taken(camera, 3)
        cut(wire, gige)
        assert _read_until_lost(camera, 6.0).startswith("camera top: ")
        start_s = time.monotonic()
    assert time.monotonic() - start_s < LONGEST_LEAVING_S


@gone
def test_a_camera_that_is_gone_unnoticed_is_left_in_time(wire: Wire, gige: GigeCamera, cut: Cut) -> None:
    with _camera() as camera:
        assert _taken(camera, 3)
        cut(wire, gige)
        start_s = time.monotonic()
    assert time.monotonic() - start_s < LONGEST_LEAVING_S


def test_a_restarted_camera_is_lost_and_gets_all_settings_anew(gige: GigeCamera) -> None:
    with _camera() as camera:
        assert _taken(camera, 3)
        gige.kill()
        gige.start()  # with its defaults, 512×512
        assert "control of the camera is lost" in _read_until_lost(camera, 6.0)
    with _camera() as camera:
        (exposure,) = _taken(camera, 1)
        assert exposure.image is not None
        assert exposure.image.shape == (HEIGHT, WIDTH)


def test_a_camera_that_thaws_is_lost_and_comes_back(gige: GigeCamera) -> None:
    with _camera() as camera:
        assert _taken(camera, 3)
        gige.freeze()
        _read_until_lost(camera, 6.0)
    gige.thaw()
    end_s = time.monotonic() + 20
    while True:  # it holds on to its last controller for three seconds
        try:
            with _camera() as camera:
                assert _taken(camera, 3)
                return
        except CameraLost:
            assert time.monotonic() < end_s


def test_leaving_a_dead_camera_leaves_the_other_alone(wire: Wire, gige: GigeCamera) -> None:
    with GigeCamera(wire, address=OTHER_CAMERA), _camera(address=OTHER_CAMERA) as other:
        with _camera() as camera:
            assert _taken(camera, 1)
            assert _taken(other, 1)
            gige.kill()
        for _ in range(5):  # past the library's next heartbeats
            assert len(_taken(other, 50)) == 50


def test_pictures_in_part_tell_their_whole_rows(wire: Wire) -> None:
    with (
        GigeCamera(wire, "--lost", "0.01"),
        _camera(sfnc={"width_px": 512, "height_px": 400}, packet_bytes=1400) as camera,
    ):
        damaged, shift = [], None
        for exposure in camera.exposures(0.5):
            assert exposure is not None
            if exposure.image is None or exposure.frame_id is None:
                assert exposure.fault is InvalidReason.INCOMPLETE
            elif shift is None:
                shift = exposure.frame_id - number_of(exposure.image) if exposure.valid_rows is None else None
            else:
                true_rows = whole_rows(exposure.image, exposure.frame_id - shift)
                told_rows = 400 if exposure.valid_rows is None else exposure.valid_rows
                assert told_rows <= true_rows
                damaged += [(told_rows, true_rows)] if told_rows < 400 else []
            if len(damaged) > 20:
                break
        assert camera.counters["failures"] >= 20
        assert camera.counters["missing_packets"] > 0
    assert sum(told for told, _ in damaged) > 0.9 * sum(true for _, true in damaged)


@pytest.fixture
def other(wire: Wire) -> Callable[..., GigeCamera]:
    """Make the camera that has chunks and more, for its options."""
    return lambda *options: GigeCamera(wire, *options, program="gige_chunk_server")


def test_chunks_come_with_the_picture(other: Callable[..., GigeCamera]) -> None:
    chunks = ("FrameID", "Timestamp", "EncoderValue", "LineStatusAll")
    with other(), _camera(sfnc={"chunks": chunks}) as camera:
        assert set(chunks) <= camera.features
        for exposure in _taken(camera, 5):
            assert exposure.frame_id is not None
            number = exposure.frame_id - 5_000_000
            assert 0 <= number < 100
            assert exposure.encoder == encoder_of(number)
            assert exposure.line_status == number % 4
            assert 0 < (exposure.device_ns or 0) <= time.monotonic_ns()


def test_chunks_are_as_configured(other: Callable[..., GigeCamera]) -> None:
    with other():
        with _camera(sfnc={"chunks": ("EncoderValue", "Timestamp")}):
            pass
        with _camera(sfnc={"chunks": ("EncoderValue",)}) as camera:
            (exposure,) = _taken(camera, 1)
        assert exposure.image is not None
        assert exposure.encoder == encoder_of(number_of(exposure.image))
        assert exposure.line_status is None


def test_frame_ids_of_64_bits_are_taken_as_they_are(other: Callable[..., GigeCamera]) -> None:
    with other("--wide-ids"), _camera() as camera:
        for exposure in _each(camera, 5):
            assert exposure.image is not None
            assert exposure.frame_id == 2**40 + number_of(exposure.image)


def test_twelve_bits_become_sixteen(other: Callable[..., GigeCamera]) -> None:
    with other(), _camera(sfnc={"pixel_format": "Mono12"}) as camera:
        (exposure,) = _taken(camera, 1)
        assert exposure.image is not None
        greys = exposure.image[:, -1].astype(int)
        assert set(np.diff(greys) % (251 * 16)) == {16}


def test_is_found_by_its_user_name(other: Callable[..., GigeCamera]) -> None:
    with other("--user-name", "top left"):
        (found,) = discover()
        assert (found.user_name, found.note) == ("top left", "GigE Vision 02:00:00:00:00:01")
        for table in ({"user_name": "top left"}, {"address": "02:00:00:00:00:01"}):
            with _camera(**table) as camera:
                assert camera.identity.startswith("Shadowline Chunks")


def test_another_controller_is_told_at_once(other: Callable[..., GigeCamera]) -> None:
    with other(), _camera() as first:
        with pytest.raises(CameraLost, match="held by another program"):
            _camera().__enter__()
        assert _taken(first, 3)


def test_lost_packets_are_sent_again(other: Callable[..., GigeCamera]) -> None:
    with other("--lose-every", "97"), _camera(sfnc={"width_px": 512, "height_px": 400}, packet_bytes=1400) as camera:
        whole = [exposure.valid_rows is None for exposure in _taken(camera, 10)]
        # every picture loses a packet or two; on a full machine one may come again too late for its picture
        assert sum(whole) > 5
        assert camera.counters["resent_packets"] > 0


def test_without_resending_pictures_come_in_part(other: Callable[..., GigeCamera]) -> None:
    config: dict[str, Any] = {"packet_bytes": 1400, "resend": False, "sfnc": {"width_px": 512, "height_px": 400}}
    with other("--lose-every", "97"), _camera(**config) as camera:
        for number, exposure in enumerate(_each(camera, 10)):
            assert exposure.image is not None
            assert exposure.valid_rows is not None
            assert exposure.valid_rows <= whole_rows(exposure.image, number) < 400
        assert camera.counters["resend_requests"] == 0


def test_the_packet_size_is_what_the_wire_takes(other: Callable[..., GigeCamera]) -> None:
    with other(), _camera(sfnc={"width_px": 512, "height_px": 400}) as camera:
        _taken(camera, 5)
        packets = camera.counters["received_packets"] / camera.counters["completed_buffers"]
    assert packets < 30  # 204 800 bytes in packets of nearly 9000


def test_the_packet_size_is_that_which_is_configured(gige: GigeCamera) -> None:
    def packets(packet_bytes: int) -> float:
        with _camera(packet_bytes=packet_bytes, packet_delay_ns=1000, heartbeat_s=5.0) as camera:
            _taken(camera, 5)
            return camera.counters["received_packets"] / camera.counters["completed_buffers"]

    assert packets(8000) < packets(1400)


def test_a_software_trigger_is_fired_at_its_rate(gige: GigeCamera) -> None:
    trigger = TriggerConfig(source="Software", software_hz=20.0)
    start_s = time.monotonic()
    with _camera(sfnc={"rate_hz": 200.0, "trigger": trigger}) as camera:
        assert len(_taken(camera, 20)) == 20
    assert time.monotonic() - start_s > 0.8


def test_a_camera_that_takes_no_trigger_any_more_is_lost(gige: GigeCamera) -> None:
    trigger = TriggerConfig(source="Software", software_hz=20.0)
    with _camera(sfnc={"rate_hz": 200.0, "trigger": trigger}) as camera:
        assert _taken(camera, 3)
        gige.freeze()
        with pytest.raises(CameraLost, match=r"^camera top: TriggerSoftware: .*timeout"):
            _taken(camera, 5)


def test_a_trigger_that_does_not_come_makes_no_pictures(gige: GigeCamera) -> None:
    with _camera(sfnc={"trigger": TriggerConfig(source="Line0")}) as camera:
        assert list(islice(camera.exposures(0.2), 12))[2:] == [None] * 10  # one may be on its way


def test_reads_only_while_it_is_open() -> None:
    with pytest.raises(CameraError, match="not open"):
        next(iter(_camera().exposures(0.1)))


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(MissingExtra, match=r"PyGObject is not installed: .*aravis"):
        _camera(address="127.0.0.1").__enter__()
    with pytest.raises(MissingExtra):
        discover()
