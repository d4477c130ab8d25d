import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from shadowline.errors import CameraError, CameraLost
from station.camera import ReplayCamera
from station.camera.pictures import list_pictures
from station.clock import ManualClock
from station.config import ReplayConfig
from station.frame import Exposure, InvalidReason
from station.recording import LINES, RecordingWriter, Shot

GREY = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)


def _config(path: Path, **settings: Any) -> ReplayConfig:
    return ReplayConfig(type="replay", name="top", path=path, **{"rate_hz": 0.0, **settings})


def _write(path: Path, image: NDArray[Any] = GREY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def _play(camera: ReplayCamera) -> Iterator[Exposure]:
    return (exposure for exposure in camera.exposures(1.0) if exposure is not None)


def _all(path: Path, **settings: Any) -> list[Exposure]:
    """Return every exposure of a short source; the pictures of a directory may be kept."""
    with ReplayCamera(_config(path, **settings), ManualClock()) as camera:
        return list(_play(camera))


def _names(exposures: list[Exposure]) -> list[str]:
    return [Path(exposure.source or "").name for exposure in exposures]


def _level(exposure: Exposure) -> int:
    assert exposure.image is not None
    return int(exposure.image.mean())


def test_plays_in_natural_order_through_sub_directories(tmp_path: Path) -> None:
    for name in ["img10.png", "img2.png", "b/img1.png", "a10/x.png", "a9/x.png", "IMG3.PNG"]:
        _write(tmp_path / name)
    listed = [str(path.relative_to(tmp_path)) for path in list_pictures(tmp_path)]
    assert listed == ["IMG3.PNG", "a9/x.png", "a10/x.png", "b/img1.png", "img2.png", "img10.png"]
    exposures = _all(tmp_path)
    assert [exposure.source for exposure in exposures] == [str(tmp_path / name) for name in listed]
    assert [exposure.frame_id for exposure in exposures] == [0, 1, 2, 3, 4, 5]


def test_other_files_are_no_pictures(tmp_path: Path) -> None:
    _write(tmp_path / "one.png")
    _write(tmp_path / ".hidden.png")
    (tmp_path / "notes.xml").write_text("<annotation/>")
    os.mkfifo(tmp_path / "pipe.png")
    assert _names(_all(tmp_path)) == ["one.png"]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".pgm", ".jpg", ".jpeg", ".webp", ".jp2"])
def test_takes_each_format(tmp_path: Path, suffix: str) -> None:
    flat = np.full((40, 60), 90, np.uint8)
    _write(tmp_path / f"one{suffix}", flat)
    (exposure,) = _all(tmp_path)
    assert exposure.image is not None
    assert exposure.image.dtype == np.uint8
    assert np.abs(exposure.image.astype(int) - flat).max() <= 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_makes_one_grey_channel_and_keeps_the_depth(tmp_path: Path, dtype: type, channels: int) -> None:
    image: NDArray[Any] = np.full((20, 30), 200 if dtype is np.uint8 else 50_000, dtype)
    _write(tmp_path / "one.png", image if channels == 1 else cv2.merge([image] * channels))
    (exposure,) = _all(tmp_path)
    assert exposure.image is not None
    assert exposure.image.dtype == dtype
    assert np.array_equal(exposure.image, image)


def test_sizes_may_change_from_picture_to_picture(tmp_path: Path) -> None:
    _write(tmp_path / "1.png", GREY)
    _write(tmp_path / "2.png", GREY[:7, :5])
    assert [exposure.image is not None and exposure.image.shape for exposure in _all(tmp_path)] == [(40, 60), (7, 5)]


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG file that announces a size and holds next to nothing."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _encoded(suffix: str, image: NDArray[Any] = GREY, keep: float = 1.0) -> bytes:
    data: bytes = cv2.imencode(suffix, image)[1].tobytes()
    return data[: round(keep * len(data))]


BAD = [
    ("empty.png", b"", InvalidReason.UNREADABLE),
    ("text.png", b"no picture at all", InvalidReason.UNREADABLE),
    ("cut.png", _encoded(".png", keep=0.9), InvalidReason.UNREADABLE),
    ("cut.jpg", _encoded(".jpg", keep=0.9), InvalidReason.UNREADABLE),
    ("cut.bmp", _encoded(".bmp", keep=0.6), InvalidReason.UNREADABLE),
    ("cut.tif", _encoded(".tif", keep=0.6), InvalidReason.UNREADABLE),
    ("cut.pgm", _encoded(".pgm", keep=0.6), InvalidReason.UNREADABLE),
    ("float.tif", _encoded(".tif", GREY.astype(np.float32)), InvalidReason.UNSUPPORTED),
    ("signed.tif", _encoded(".tif", GREY.astype(np.int32)), InvalidReason.UNSUPPORTED),
    ("large.png", _encoded(".png", np.zeros((200, 200), np.uint8)), InvalidReason.UNSUPPORTED),
    ("huge.png", _png_header(60_000, 60_000), InvalidReason.UNSUPPORTED),
]


@pytest.mark.parametrize(("name", "content", "fault"), BAD, ids=[name for name, _, _ in BAD])
def test_a_bad_picture_is_told_quietly_and_the_run_goes_on(
    tmp_path: Path, name: str, content: bytes, fault: InvalidReason, capfd: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path / "0.png")
    (tmp_path / name).write_bytes(content)
    _write(tmp_path / "z.png")
    first, bad, last = _all(tmp_path, max_megapixels=0.01)
    assert (bad.image, bad.fault, bad.source) == (None, fault, str(tmp_path / name))
    for good in (first, last):
        assert good.fault is None
        assert good.image is not None
    assert [first.frame_id, bad.frame_id, last.frame_id] == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_file_that_vanished_after_listing_is_unreadable(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        _write(tmp_path / name)
    with ReplayCamera(_config(tmp_path), ManualClock()) as camera:
        (tmp_path / "2.png").unlink()
        assert [exposure.fault for exposure in _play(camera)] == [None, InvalidReason.UNREADABLE, None]


def _no_directory(folder: Path) -> Path:
    return folder / "none"


def _empty_directory(folder: Path) -> Path:
    return folder


def _one_picture(folder: Path) -> Path:
    return _write(folder / "one.png")


def _junk_video(folder: Path) -> Path:
    path = folder / "film.avi"
    path.write_bytes(b"junk" * 1000)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_no_directory, "is no directory and no video file"),
        (_empty_directory, "holds no pictures"),
        (_one_picture, "is no directory and no video file"),
        (_junk_video, "can't be played as a video"),
    ],
)
def test_what_can_not_be_played_is_refused_at_opening(
    tmp_path: Path, make: Callable[[Path], Path], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path)
    with pytest.raises(CameraError) as caught, ReplayCamera(_config(path), ManualClock()):
        pass
    assert not isinstance(caught.value, CameraLost)
    assert str(caught.value) == f"camera top: {path} {message}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("loop", [False, True])
def test_a_directory_that_vanishes_is_a_lost_camera(tmp_path: Path, loop: bool) -> None:
    folder = tmp_path / "in"
    for name in ("1.png", "2.png"):
        _write(folder / name)
    with ReplayCamera(_config(folder, loop=loop), ManualClock()) as camera:
        pictures = _play(camera)
        next(pictures)
        shutil.rmtree(folder)
        with pytest.raises(CameraLost, match="is gone"):
            next(pictures)


def test_a_looped_directory_that_is_emptied_is_a_lost_camera(tmp_path: Path) -> None:
    path = _write(tmp_path / "1.png")
    with ReplayCamera(_config(tmp_path, loop=True), ManualClock()) as camera:
        pictures = _play(camera)
        next(pictures)
        path.unlink()
        with pytest.raises(CameraLost, match="holds no pictures"):
            next(pictures)


def test_a_directory_played_once_takes_what_came_meanwhile_and_then_ends(tmp_path: Path) -> None:
    for name in ("2.png", "3.png"):
        _write(tmp_path / name)
    with ReplayCamera(_config(tmp_path), ManualClock()) as camera:
        pictures = _play(camera)
        first = next(pictures)
        _write(tmp_path / "1.png")
        _write(tmp_path / "4.png")
        assert _names([first, *pictures]) == ["2.png", "3.png", "1.png", "4.png"]


def test_a_directory_played_once_may_be_emptied_behind_it(tmp_path: Path) -> None:
    path = _write(tmp_path / "1.png")
    with ReplayCamera(_config(tmp_path), ManualClock()) as camera:
        pictures = _play(camera)
        next(pictures)
        path.unlink()
        assert list(pictures) == []


def test_a_looped_directory_plays_everything_again_with_what_came(tmp_path: Path) -> None:
    _write(tmp_path / "2.png")
    with ReplayCamera(_config(tmp_path, loop=True), ManualClock()) as camera:
        pictures = _play(camera)
        first = next(pictures)
        _write(tmp_path / "1.png")
        exposures = [first, *islice(pictures, 4)]
    assert _names(exposures) == ["2.png", "1.png", "2.png", "1.png", "2.png"]
    assert [exposure.frame_id for exposure in exposures] == [0, 1, 2, 3, 4]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A video of ten grainy frames whose grey rises by twenty from 20 on."""
    grain = np.random.default_rng(1).integers(-9, 10, (48, 64, 1))
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(10):
        writer.write(np.repeat(20 * number + 20 + grain, 3, axis=2).astype(np.uint8))
    writer.release()
    return path


def test_plays_each_frame_of_a_video(film: Path) -> None:
    with ReplayCamera(_config(film), ManualClock()) as camera:
        levels = [_level(exposure) for exposure in _play(camera)]
    assert np.abs(np.array(levels) - 20 * np.arange(1, 11)).max() <= 3


def test_a_looped_video_begins_again(film: Path) -> None:
    with ReplayCamera(_config(film, loop=True), ManualClock()) as camera:
        levels = [_level(exposure) for exposure in islice(_play(camera), 25)]
    assert np.abs(np.array(levels) - 20 * (np.arange(25) % 10 + 1)).max() <= 3


def test_a_video_that_ends_early_says_what_is_missing(film: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = film.read_bytes()
    film.write_bytes(data[: len(data) * 6 // 10])
    *good, last = _all(film)
    assert 0 < len(good) < 10
    assert all(exposure.fault is None for exposure in good)
    assert (last.image, last.fault) == (None, InvalidReason.UNREADABLE)
    assert last.source == f"{film}: {len(good)} of 10 frames"
    assert capfd.readouterr() == ("", "")


def test_a_video_that_vanishes_is_a_lost_camera_at_the_next_round(film: Path) -> None:
    with ReplayCamera(_config(film, loop=True), ManualClock()) as camera:
        pictures = _play(camera)
        assert len(list(islice(pictures, 10))) == 10
        film.unlink()
        with pytest.raises(CameraLost, match="can't be played"):
            next(pictures)


def test_a_video_of_too_large_frames_is_refused(film: Path) -> None:
    with (
        pytest.raises(CameraError, match="64×48, more than max_megapixels"),
        ReplayCamera(_config(film, max_megapixels=0.001), ManualClock()),
    ):
        pass


UTC_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def _record(folder: Path, *exposures: Exposure) -> Path:
    with RecordingWriter(folder, "pgm") as writer:
        for exposure in exposures:
            writer.write(Shot.of(exposure), exposure.image)
    return folder


def _times_ms(path: Path, count: int | None = None, **settings: Any) -> list[float]:
    """Return when the exposures came, since opening."""
    clock = ManualClock()
    start_ns = clock.utc_ns()
    with ReplayCamera(_config(path, **settings), clock) as camera:
        return [(exposure.captured_ns - start_ns) / MS for exposure in islice(_play(camera), count)]


def _recorded_at(folder: Path, *times_ms: int) -> Path:
    exposures = (Exposure(GREY, number, UTC_NS + at_ms * MS) for number, at_ms in enumerate(times_ms))
    return _record(folder, *exposures)


def test_a_recording_plays_with_the_spacing_of_then(tmp_path: Path) -> None:
    _recorded_at(tmp_path, 0, 40, 90, 5090, 5100)
    assert _times_ms(tmp_path, rate_hz=None) == [0, 40, 90, 5090, 5100]


def test_a_rate_takes_the_place_of_the_recorded_spacing(tmp_path: Path) -> None:
    _recorded_at(tmp_path, 0, 40, 9090)
    assert _times_ms(tmp_path, rate_hz=20) == [0, 50, 100]
    assert _times_ms(tmp_path, rate_hz=0) == [0, 0, 0]


def test_a_clock_that_was_set_does_not_hold_up_the_recording(tmp_path: Path) -> None:
    _recorded_at(tmp_path, 10_000, 10_040, 5_000, 5_040)
    assert _times_ms(tmp_path, rate_hz=None) == [0, 40, 40, 80]


def test_a_folder_without_a_recording_plays_at_ten_hertz(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        _write(tmp_path / name)
    assert _times_ms(tmp_path, rate_hz=None) == [0, 100, 200]


def test_a_video_plays_as_it_was_filmed(film: Path) -> None:
    assert _times_ms(film, 4, rate_hz=None) == [0, 40, 80, 120]


def test_a_gap_is_told_by_time_outs(tmp_path: Path) -> None:
    _recorded_at(tmp_path, 0, 2500)
    with ReplayCamera(_config(tmp_path, rate_hz=None), ManualClock()) as camera:
        assert [exposure is not None for exposure in camera.exposures(1.0)] == [True, False, False, True]


def test_a_recording_brings_back_what_was_known_of_each_picture(tmp_path: Path) -> None:
    recorded = [
        Exposure(GREY, 7, UTC_NS, "camera", device_ns=500, encoder=1000, line_status=5),
        Exposure(GREY[:9].copy(), 9, UTC_NS, valid_rows=4, device_ns=600, encoder=990),
        Exposure(None, 10, UTC_NS, fault=InvalidReason.OVERRUN),
    ]
    _record(tmp_path, *recorded)
    with ReplayCamera(_config(tmp_path), ManualClock(5)) as camera:
        assert camera.features >= {"FrameID", "Timestamp", "EncoderValue", "LineStatusAll"}
        for then, now in zip(recorded, _play(camera), strict=True):
            same = ("frame_id", "valid_rows", "device_ns", "encoder", "line_status", "fault")
            assert [getattr(now, name) for name in same] == [getattr(then, name) for name in same]
            assert (now.captured_ns, now.clock) == (5, "host")
            assert (now.image is None) == (then.image is None)
            if now.image is not None and then.image is not None:
                assert np.array_equal(now.image, then.image)


def test_only_what_the_recording_lists_is_played_in_its_order(tmp_path: Path) -> None:
    _recorded_at(tmp_path, 0, 1, 2)
    _write(tmp_path / "000000a.png")
    lines = (tmp_path / LINES).read_text().splitlines()
    (tmp_path / LINES).write_text("\n".join(reversed(lines)) + "\n")
    assert _names(_all(tmp_path)) == ["000002.pgm", "000001.pgm", "000000.pgm"]


def test_a_camera_without_a_counter_is_recorded_without_one(tmp_path: Path) -> None:
    _record(tmp_path, Exposure(GREY, None, UTC_NS))
    with ReplayCamera(_config(tmp_path), ManualClock()) as camera:
        assert "FrameID" not in camera.features
        assert [exposure.frame_id for exposure in _play(camera)] == [None]


def test_the_counters_go_on_from_round_to_round(tmp_path: Path) -> None:
    count = [65_500, 65_530, 24]  # of 16 bits: it wraps in each round at another place
    _record(
        tmp_path,
        *(Exposure(GREY, 5 + n, UTC_NS + 40 * n * MS, device_ns=100 * n, encoder=count[n]) for n in range(3)),
    )
    with ReplayCamera(_config(tmp_path, loop=True, rate_hz=None), ManualClock()) as camera:
        exposures = list(islice(_play(camera), 9))
    assert [exposure.frame_id for exposure in exposures] == list(range(5, 14))
    assert [exposure.device_ns for exposure in exposures] == list(range(0, 900, 100))
    assert [(exposure.encoder or 0) % 65_536 for exposure in exposures] == [
        (65_500 + 30 * number) % 65_536 for number in range(9)
    ]
    assert _times_ms(tmp_path, 9, loop=True, rate_hz=None) == list(range(0, 360, 40))


def test_what_is_damaged_in_a_recording_is_one_unreadable_exposure(tmp_path: Path) -> None:
    _recorded_at(tmp_path, 0, 40, 80, 120)
    lines = (tmp_path / LINES).read_text().splitlines()
    lines[1] = lines[1][:20]
    (tmp_path / LINES).write_text("\n".join(lines) + "\n" + '{"captured_ns": 17')
    (tmp_path / "000002.pgm").unlink()
    exposures = _all(tmp_path)
    unreadable = InvalidReason.UNREADABLE
    assert [exposure.fault for exposure in exposures] == [None, unreadable, unreadable, None]
    assert [exposure.frame_id for exposure in exposures] == [0, None, 2, 3]
    assert _times_ms(tmp_path, rate_hz=None) == [0, 0, 80, 120]


def test_a_looped_recording_of_damaged_lines_takes_its_time(tmp_path: Path) -> None:
    (tmp_path / LINES).write_text("x\n")
    assert _times_ms(tmp_path, 3, loop=True, rate_hz=None) == [0, 100, 200]


def test_a_name_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    _write(tmp_path / "secret.png")
    folder = _recorded_at(tmp_path / "in", 0)
    (folder / LINES).write_text(json.dumps({"captured_ns": 1, "file": "../secret.png"}) + "\n")
    assert [exposure.fault for exposure in _all(folder)] == [InvalidReason.UNREADABLE]


def test_a_recording_without_a_picture_is_refused_at_opening(tmp_path: Path) -> None:
    _record(tmp_path)
    with pytest.raises(CameraError, match="is a recording without a picture") as caught, _opened(tmp_path):
        pass
    assert not isinstance(caught.value, CameraLost)


def _opened(path: Path) -> ReplayCamera:
    return ReplayCamera(_config(path), ManualClock())


def test_a_recording_that_vanishes_is_a_lost_camera(tmp_path: Path) -> None:
    folder = _recorded_at(tmp_path / "in", 0, 40, 80)
    with ReplayCamera(_config(folder, loop=True), ManualClock()) as camera:
        pictures = _play(camera)
        next(pictures)
        shutil.rmtree(folder)
        with pytest.raises(CameraLost, match="is gone"):
            next(pictures)


def test_a_looped_recording_whose_lines_are_gone_is_a_lost_camera(tmp_path: Path) -> None:
    _recorded_at(tmp_path, 0)
    with ReplayCamera(_config(tmp_path, loop=True), ManualClock()) as camera:
        pictures = _play(camera)
        next(pictures)
        (tmp_path / LINES).unlink()
        with pytest.raises(CameraLost, match="can't be read"):
            next(pictures)


def test_is_no_camera_before_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="is not open"):
        next(ReplayCamera(_config(tmp_path), ManualClock()).exposures(1.0))


def test_plays_real_pictures(data: Path) -> None:
    exposures = _all(data / "neu" / "images" / "scratches")
    assert len(exposures) == 210
    assert {exposure.image is not None and exposure.image.shape for exposure in exposures} == {(200, 200)}
