"""The `opencv` driver on network streams: an RTSP server, an HTTP server and hosts that give nothing.

Real V4L2 devices are tried in tests/system/test_v4l2.py.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from shadowline.errors import CameraError, CameraLost
from station.camera import OpenCvCamera
from station.clock import HostClock
from station.config import OpenCvConfig
from station.frame import Exposure, InvalidReason
from tests.http_video import JPEGS, as_part, serve
from tests.numbered import draw, number_of
from tests.rtsp import RtspServer, rtsp_server

WIDTH, HEIGHT = 96, 64
USER, PASSWORD = "line one", "s3cret@:/ö %?#"
TIMEOUT_S = 1.0


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with rtsp_server(WIDTH, HEIGHT) as server:
        yield server


@pytest.fixture
def locked() -> Iterator[RtspServer]:
    with rtsp_server(WIDTH, HEIGHT, user=USER, password=PASSWORD) as server:
        yield server


def _camera(url: str, **settings: Any) -> OpenCvCamera:
    table = {"type": "opencv", "name": "one", "url": url, "timeout_s": TIMEOUT_S, "offline_after_s": 9, **settings}
    return OpenCvCamera(OpenCvConfig.model_validate(table), HostClock())


def _take(camera: OpenCvCamera, count: int) -> list[Exposure]:
    """Take so many exposures; only their last picture is still what it was."""
    return list(islice((exposure for exposure in camera.exposures(TIMEOUT_S) if exposure is not None), count))


def _numbers(camera: OpenCvCamera, count: int) -> list[int]:
    exposures = islice(camera.exposures(TIMEOUT_S), count)
    return [number_of(exposure.image) for exposure in exposures if exposure is not None]


def _open(camera: OpenCvCamera) -> None:
    with camera:
        pass


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_pictures_come_in_order(codec: str, transport: str) -> None:
    with (
        rtsp_server(WIDTH, HEIGHT, codec=codec) as server,
        _camera(server.url, transport=transport) as camera,
    ):
        numbers = _numbers(camera, 30)
        kinds = {connection.type for connection in psutil.Process().net_connections()}
    assert numbers == list(range(numbers[0], numbers[0] + 30))
    assert (socket.SOCK_DGRAM in kinds) == (transport == "udp")


def test_a_picture_is_grey_in_a_buffer_that_is_used_again(server: RtspServer) -> None:
    with _camera(server.url) as camera:
        images = [exposure.image for exposure in _take(camera, 5)]
    first = images[0]
    assert first is not None
    assert (first.shape, first.dtype) == ((HEIGHT, WIDTH), np.uint8)
    assert all(image is not None and np.shares_memory(image, first) for image in images)


def test_stamps_follow_the_pictures(server: RtspServer) -> None:
    with _camera(server.url) as camera:
        exposures = _take(camera, 40)
        assert camera.counters == {"completed": 40, "failures": 0}
    stamps_ns = [exposure.device_ns for exposure in exposures if exposure.device_ns is not None]
    assert len(stamps_ns) >= 38  # FFmpeg has none for those at the very start
    assert all(later - earlier == pytest.approx(40e6, abs=1e6) for earlier, later in pairwise(stamps_ns))
    assert {exposure.frame_id for exposure in exposures} == {None}


def test_silence_is_a_loss_and_no_old_picture_comes_back(server: RtspServer) -> None:
    with _camera(server.url, timeout_s=0.5) as camera:
        before = _numbers(camera, 30)
        with server.frozen(), pytest.raises(CameraLost, match=r"no picture for 0\.5 s"):
            before += _numbers(camera, 1000)
    with _camera(server.url) as camera:
        after = _numbers(camera, 5)
    assert after[0] > before[-1]


def test_a_server_that_dies_is_told_and_found_again(server: RtspServer) -> None:
    with _camera(server.url) as camera:
        _take(camera, 3)
        server.kill()
        with pytest.raises(CameraLost, match="the stream ended"):
            _take(camera, 1000)
    with pytest.raises(CameraLost, match="refuses connections"):
        _open(_camera(server.url))
    server.start()
    with _camera(server.url) as camera:
        assert len(_take(camera, 3)) == 3


def test_a_login_opens_and_is_never_shown(
    locked: RtspServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with _camera(f"{locked.url}?key=s3cret", user=USER, password=PASSWORD) as camera:
        assert len(_take(camera, 3)) == 3
        assert camera.identity == locked.url
        seen = [camera.identity, repr(camera), str(camera.counters)]
    locked.kill()
    with pytest.raises(CameraLost) as caught:
        _open(_camera(f"{locked.url}?key=s3cret", user=USER, password=PASSWORD))
    seen += [str(caught.value), caplog.text, *capfd.readouterr()]
    assert not any(secret in text for text in seen for secret in ("s3cret", "line one", "line%20one"))


def test_a_wrong_login_is_told_from_a_missing_one(
    locked: RtspServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CameraLost, match="does not take this user and password") as wrong:
        _open(_camera(locked.url, user="somebody", password="s3cret?"))
    with pytest.raises(CameraLost, match="asks for a user and password"):
        _open(_camera(locked.url))
    assert wrong.value.__cause__ is None
    seen = [str(wrong.value), caplog.text, *capfd.readouterr()]
    assert not any(secret in text for text in seen for secret in ("s3cret", "somebody"))


def test_a_wrong_path_is_told(server: RtspServer) -> None:
    with pytest.raises(CameraLost, match=r"no stream of this path \(404\)"):
        _open(_camera(f"{server.url}/other"))


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_silent_host_is_given_up(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/strip"
        with pytest.raises(CameraLost, match="takes connections but does not answer"):
            _open(_camera(url, open_timeout_s=0.3))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/hostname", "url must be rtsp://"),
        ("film.mp4", "url must be rtsp://"),
        ("rtsp:///strip", "url must be rtsp://"),
        ("http://host:99999/", "url must be rtsp://"),
        (f"rtsp://{'x' * 64}.net/", "url must be rtsp://"),
    ],
)
def test_what_is_no_stream_is_refused(url: str, message: str) -> None:
    with pytest.raises(CameraError, match=f"camera one: {message}") as caught:
        _open(_camera(url))
    assert not isinstance(caught.value, CameraLost)


def test_a_device_that_is_away_is_waited_for() -> None:
    config = OpenCvConfig(type="opencv", name="one", device=Path("/dev/v4l/by-id/usb-gone"))
    with pytest.raises(CameraLost, match="camera one: /dev/v4l/by-id/usb-gone is not there"):
        _open(OpenCvCamera(config, HostClock()))


def test_a_camera_that_is_closed_gives_no_pictures() -> None:
    camera = _camera("rtsp://127.0.0.1/strip")
    with pytest.raises(CameraError, match="camera one: is not open"):
        next(camera.exposures(TIMEOUT_S))


def _picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    return np.frombuffer(draw(number, width, height), np.uint8).reshape(height, width)


def _jpeg(number: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return cv2.imencode(".jpg", _picture(number, width, height))[1].tobytes()


@contextmanager
def _over_http(parts: list[bytes]) -> Iterator[OpenCvCamera]:
    with serve(JPEGS, map(as_part, parts)) as url, _camera(url) as camera:
        yield camera


def test_pictures_come_over_http_and_their_end_is_a_loss() -> None:
    with _over_http([_jpeg(number) for number in range(10)]) as camera:
        assert _numbers(camera, 10) == list(range(10))
        with pytest.raises(CameraLost, match="the stream ended"):
            next(camera.exposures(TIMEOUT_S))


def test_pictures_over_http_have_no_stamps() -> None:
    with _over_http([_jpeg(number) for number in range(10)]) as camera:
        assert {exposure.device_ns for exposure in _take(camera, 10)} == {None}


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda jpeg: jpeg[: len(jpeg) // 2], InvalidReason.INCOMPLETE),
        (lambda jpeg: b"no JPEG" + jpeg[7:], InvalidReason.UNREADABLE),
    ],
)
def test_a_damaged_jpeg_is_a_fault_and_the_next_one_comes(
    spoil: Callable[[bytes], bytes], fault: InvalidReason
) -> None:
    parts = [spoil(_jpeg(number)) if number == 5 else _jpeg(number) for number in range(10)]
    with _over_http(parts) as camera:
        faults = [exposure.fault for exposure in _take(camera, 10)]
        assert camera.counters == {"completed": 9, "failures": 1}
    assert faults == [fault if number == 5 else None for number in range(10)]


def test_a_jpeg_of_another_size_is_handed_on_as_it_is() -> None:
    sizes = [(96, 64)] * 5 + [(128, 96)] * 5 + [(64, 48)] * 5
    with _over_http([_jpeg(0, width, height) for width, height in sizes]) as camera:
        images = [exposure.image for exposure in _take(camera, len(sizes))]
    assert [image.shape for image in images if image is not None] == [(height, width) for width, height in sizes]


def test_a_picture_that_its_codec_refuses_is_a_fault_and_the_next_one_comes(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (WIDTH, HEIGHT))
    for number in range(10):
        writer.write(cv2.cvtColor(_picture(number), cv2.COLOR_GRAY2BGR))
    writer.release()
    film = path.read_bytes().split(b"00dc")  # the header names it too, so that picture 5 is the eighth piece
    film[7] = film[7][:4] + bytes(len(film[7]) - 4)
    with serve("video/x-msvideo", [b"00dc".join(film)]) as url, _camera(url) as camera:
        faults = [exposure.fault for exposure in _take(camera, 10)]
    assert faults == [InvalidReason.UNREADABLE if number == 5 else None for number in range(10)]
