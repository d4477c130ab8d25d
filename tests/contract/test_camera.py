"""One suite for every camera: a new driver adds a line to `CASES`."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from shadowline.errors import CameraError, CameraLost
from station.camera import Camera, SimulatedCamera, open_camera
from station.clock import Clock, HostClock, ManualClock
from station.config import (
    AravisConfig,
    BaslerConfig,
    CameraConfig,
    GenTlConfig,
    OpenCvConfig,
    PythonCameraConfig,
    ReplayConfig,
    SfncConfig,
    SimulatedConfig,
)
from station.frame import Exposure
from tests.gige import GigeCamera, gige_camera
from tests.rtsp import RtspServer, rtsp_server
from tests.vendor_cameras import emulated_baslers, viky_producer

WIDTH, HEIGHT, FRAMES = 96, 64, 6
MANY = 3 * FRAMES
LATE_NS = 1_000_000_000  # a real device on a busy machine


@dataclass(frozen=True)
class Case:
    """A driver: its configuration for a rate (0: as fast as it goes), and how many exposures it has (None: no end).

    `peer` is entered around each test with a folder of its own, and skips where the peer can't be had; what it gives
    goes to `config`. A `real_time` peer keeps its own time: the clock is the host's, and ids begin anywhere. A driver
    that is `lost_in_silence` can't wait on after a time-out.
    """

    name: str
    config: Callable[[Any, float], CameraConfig]
    exposures: int | None
    peer: Callable[[Path], AbstractContextManager[Any]] = nullcontext
    real_time: bool = False
    shape: tuple[int, int] = (HEIGHT, WIDTH)
    lost_in_silence: bool = False


def _simulated(_: Path, rate_hz: float) -> SimulatedConfig:
    return SimulatedConfig(type="simulated", name="one", width_px=WIDTH, height_px=HEIGHT, rate_hz=rate_hz)


def _directory(folder: Path, rate_hz: float, loop: bool = False) -> ReplayConfig:
    for number in range(FRAMES):
        cv2.imwrite(str(folder / f"img{number}.png"), np.full((HEIGHT, WIDTH), 10 * number, np.uint8))
    return ReplayConfig(type="replay", name="one", path=folder, rate_hz=rate_hz, loop=loop)


def _video(folder: Path, rate_hz: float, loop: bool = False) -> ReplayConfig:
    path = folder / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        writer.write(np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8))
    writer.release()
    return ReplayConfig(type="replay", name="one", path=path, rate_hz=rate_hz, loop=loop)


def _outside(folder: Path, rate_hz: float) -> PythonCameraConfig:
    settings = _simulated(folder, rate_hz).model_dump()
    return PythonCameraConfig(type="python", name="one", factory=f"{__name__}:make_outside", settings=settings)


def _rtsp(server: RtspServer, _: float) -> OpenCvConfig:
    return OpenCvConfig(type="opencv", name="one", url=server.url, timeout_s=2, offline_after_s=2)


def make_outside(config: PythonCameraConfig, clock: Clock) -> Camera:
    """The factory of a driver outside the repository."""
    return SimulatedCamera(SimulatedConfig.model_validate(config.settings), clock)


def _gige(camera: GigeCamera, rate_hz: float) -> AravisConfig:
    sfnc = SfncConfig(width_px=WIDTH, height_px=HEIGHT, rate_hz=rate_hz or 200)
    return AravisConfig(type="aravis", name="one", address=camera.address, sfnc=sfnc)


def _viky(producer: Path, rate_hz: float) -> GenTlConfig:
    sfnc = SfncConfig(width_px=120, height_px=100, rate_hz=rate_hz or 200)
    return GenTlConfig(type="gentl", name="one", producer=producer, serial="0", sfnc=sfnc)


def _basler(_: None, rate_hz: float) -> BaslerConfig:
    sfnc = SfncConfig(width_px=WIDTH, height_px=HEIGHT, rate_hz=rate_hz or 90)
    return BaslerConfig(type="basler", name="one", device_class="BaslerCamEmu", serial="0815-0000", sfnc=sfnc)


CASES = [
    Case("simulated", _simulated, None),
    Case("directory", _directory, FRAMES),
    Case("directory in a loop", lambda folder, rate_hz: _directory(folder, rate_hz, loop=True), None),
    Case("video", _video, FRAMES),
    Case("video in a loop", lambda folder, rate_hz: _video(folder, rate_hz, loop=True), None),
    Case("python", _outside, None),
    Case("aravis", _gige, None, lambda _: gige_camera(), real_time=True),
    Case("gentl", _viky, None, lambda _: nullcontext(viky_producer()), real_time=True, shape=(100, 120)),
    Case("basler", _basler, None, lambda _: emulated_baslers(), real_time=True),
    Case("rtsp", _rtsp, None, lambda _: rtsp_server(WIDTH, HEIGHT), real_time=True, lost_in_silence=True),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def clock(case: Case) -> Clock:
    return HostClock() if case.real_time else ManualClock()


@pytest.fixture
def make(case: Case, clock: Clock, tmp_path: Path) -> Iterator[Callable[[float], Camera]]:
    """Make the case's camera for a rate."""
    with case.peer(tmp_path) as peer:
        yield lambda rate_hz: open_camera(case.config(peer, rate_hz), clock)


def _taken(camera: Camera, count: int) -> Iterator[Exposure]:
    """Yield the first exposures, at most `count`, leaving out time-outs."""
    return islice((exposure for exposure in camera.exposures(0.5) if exposure is not None), count)


def _are_told_apart(ids: list[int | None], camera: Camera) -> bool:
    """Whether the ids rise, or there are none where the camera does not claim any."""
    if "FrameID" not in camera.features:
        return set(ids) == {None}
    numbers = [frame_id for frame_id in ids if frame_id is not None]
    return len(numbers) == len(ids) and all(later > earlier for earlier, later in pairwise(numbers))


def test_says_what_it_has(make: Callable[[float], Camera]) -> None:
    features = make(0).features
    assert isinstance(features, frozenset)
    assert all(isinstance(feature, str) and feature for feature in features)


def test_opens_and_closes_without_reading(make: Callable[[float], Camera]) -> None:
    camera = make(0)
    with camera as entered:
        assert entered is camera
    camera.__exit__(None, None, None)


def test_closes_though_it_was_never_opened(make: Callable[[float], Camera]) -> None:
    make(0).__exit__(None, None, None)


def test_opens_again_after_a_failure(make: Callable[[float], Camera]) -> None:
    def fail() -> None:
        with make(0) as camera:
            next(camera.exposures(0.5))
            raise OSError("elsewhere")

    with pytest.raises(OSError, match="elsewhere"):
        fail()
    with make(0) as camera:
        assert len(list(_taken(camera, FRAMES))) == FRAMES


def test_yields_pictures_that_the_station_can_take(make: Callable[[float], Camera], case: Case) -> None:
    with make(0) as camera:
        for exposure in _taken(camera, FRAMES):
            assert exposure.fault is None
            assert exposure.image is not None
            assert exposure.image.dtype in (np.uint8, np.uint16)
            assert exposure.image.shape == case.shape
            assert exposure.image.flags.c_contiguous
            assert not exposure.image.flags.writeable


def test_frame_ids_rise(make: Callable[[float], Camera], case: Case) -> None:
    with make(0) as camera:
        ids = [exposure.frame_id for exposure in _taken(camera, MANY)]
    assert len(ids) == min(MANY, case.exposures or MANY)
    assert _are_told_apart(ids, camera)


def test_times_come_from_the_clock(make: Callable[[float], Camera], clock: Clock, case: Case) -> None:
    start_ns = clock.utc_ns()
    with make(10) as camera:
        times_ns = [exposure.captured_ns for exposure in _taken(camera, 3)]
    if case.real_time:
        assert start_ns < times_ns[0] < times_ns[1] < times_ns[2] < clock.utc_ns()
    else:
        assert times_ns == [start_ns, start_ns + 100_000_000, start_ns + 200_000_000]


def test_a_time_out_is_told_and_is_never_longer_than_asked(
    make: Callable[[float], Camera], clock: Clock, case: Case
) -> None:
    if case.lost_in_silence:
        pytest.skip("a stream that is silent is lost: see tests/unit/test_opencv_camera.py")
    longest_ns = 300_000_000 + (LATE_NS if case.real_time else 0)
    with make(1) as camera:
        before_ns = clock.tick_ns()
        seen = []
        for exposure in islice(camera.exposures(0.3), 9):
            assert clock.tick_ns() - before_ns <= longest_ns
            before_ns = clock.tick_ns()
            seen.append(exposure is not None)
    if case.real_time:
        assert set(seen) == {True, False}
    else:
        assert seen == [True, False, False, False, True, False, False, False, True]


def test_ends_or_goes_on(make: Callable[[float], Camera], case: Case) -> None:
    with make(0) as camera:
        count = sum(1 for _ in _taken(camera, MANY))
    assert count == (MANY if case.exposures is None else case.exposures)


def test_reading_can_be_left_and_taken_up(make: Callable[[float], Camera], case: Case) -> None:
    with make(0) as camera:
        first = [exposure.frame_id for exposure in _taken(camera, 2)]
        second = [exposure.frame_id for exposure in _taken(camera, 2)]
    if case.real_time:
        assert _are_told_apart(first + second, camera)
    else:
        assert first + second == [0, 1, 2, 3]


def test_leaves_no_thread_and_no_file_behind(make: Callable[[float], Camera]) -> None:
    with make(0) as camera:  # the first use of a library may start its own pool
        next(_taken(camera, 1))
    threads, files = psutil.Process().num_threads(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        camera = make(0)
        with camera:
            iterator = _taken(camera, MANY)
            next(iterator)
        del iterator
        assert len(os.listdir("/proc/self/fd")) == files
    assert psutil.Process().num_threads() == threads


def make_trouble(config: PythonCameraConfig, clock: Clock) -> Camera:
    raise ValueError(f"no {config.name}\non any bus")


def make_nothing(config: PythonCameraConfig, clock: Clock) -> None:
    return None


def make_loss(config: PythonCameraConfig, clock: Clock) -> Camera:
    raise CameraLost("still away")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("nowhere.to.be.found:make", "factory nowhere.to.be.found:make failed: ModuleNotFoundError: No module"),
        (f"{__name__}:missing", "failed: AttributeError"),
        (f"{__name__}:make_trouble", "failed: ValueError: no one on any bus"),
        (f"{__name__}:make_nothing", "returned no camera but None"),
    ],
)
def test_a_bad_factory_is_told_in_one_line(factory: str, message: str) -> None:
    with pytest.raises(CameraError) as caught:
        open_camera(PythonCameraConfig(type="python", name="one", factory=factory), ManualClock())
    assert message in str(caught.value)
    assert str(caught.value).startswith("camera one: ")
    assert "\n" not in str(caught.value)


def test_a_factory_may_say_that_its_camera_is_away() -> None:
    with pytest.raises(CameraLost, match="still away"):
        open_camera(PythonCameraConfig(type="python", name="one", factory=f"{__name__}:make_loss"), ManualClock())
