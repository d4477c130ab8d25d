import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shadowline.errors import StationError
from station.camera.pictures import read_picture
from station.frame import Exposure, InvalidReason
from station.recorder import Recorder
from station.recording import LINES, PictureFormat, RecordingWriter, Shot, is_recording, read_shots

GREY = np.random.default_rng(0).integers(0, 256, (40, 61), np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (33, 20), np.uint16)
FULL = Exposure(
    GREY,
    frame_id=70_000,
    captured_ns=1_700_000_000_000_000_000,
    clock="camera",
    valid_rows=20,
    encoder=-5,
    device_ns=123,
    line_status=3,
)


def _write(folder: Path, *exposures: Exposure, picture_format: PictureFormat = "pgm") -> None:
    with RecordingWriter(folder, picture_format) as writer:
        for exposure in exposures:
            writer.write(Shot.of(exposure), exposure.image)


def _shot(**told: Any) -> bytes:
    return json.dumps({"captured_ns": 1} | told).encode() + b"\n"


@pytest.mark.parametrize("picture_format", ["pgm", "png"])
@pytest.mark.parametrize("image", [GREY, DEEP, GREY[::2, ::3].copy()], ids=["8 bit", "16 bit", "small"])
def test_a_picture_comes_back_as_it_was(tmp_path: Path, image: NDArray[Any], picture_format: PictureFormat) -> None:
    _write(tmp_path, Exposure(image, 1, 2), picture_format=picture_format)
    (shot,) = read_shots(tmp_path)
    assert shot is not None
    assert shot.file == f"000000.{picture_format}"
    read = read_picture(tmp_path / shot.file, 1e6)
    assert not isinstance(read, InvalidReason)
    assert read.dtype == image.dtype
    assert np.array_equal(read, image)


def test_all_that_is_known_of_an_exposure_comes_back(tmp_path: Path) -> None:
    _write(tmp_path, FULL, Exposure(None, None, 5, fault=InvalidReason.INCOMPLETE))
    assert list(read_shots(tmp_path)) == [
        Shot(FULL.captured_ns, "000000.pgm", 70_000, "camera", 20, -5, 123, 3),
        Shot(5, fault=InvalidReason.INCOMPLETE),
    ]


def test_a_folder_is_a_recording_by_its_lines(tmp_path: Path) -> None:
    assert not is_recording(tmp_path)
    _write(tmp_path / "new" / "one")
    assert is_recording(tmp_path / "new" / "one")


def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    _write(tmp_path, FULL)
    with pytest.raises(StationError, match="holds a recording already: name another folder"):
        _write(tmp_path, FULL)
    assert len(list(read_shots(tmp_path))) == 1


def test_a_place_that_can_not_be_written_is_refused() -> None:
    with pytest.raises(StationError, match="/proc/none: can't be written: No such file"):
        _write(Path("/proc/none"))


def test_a_line_that_was_being_written_is_not_there(tmp_path: Path) -> None:
    _write(tmp_path, FULL, FULL)
    whole = (tmp_path / LINES).read_bytes()
    for cut in (len(whole) - 1, len(whole) // 2 + 1):
        (tmp_path / LINES).write_bytes(whole[:cut])
        (shot,) = read_shots(tmp_path)
        assert shot is not None


DAMAGED = {
    "noise": b"\xff\xfe\x00{}\n",
    "no object": b"[1]\n",
    "empty": b"\n",
    "no time": b'{"file": "a.pgm"}\n',
    "a time before 1970": _shot(captured_ns=-1),
    "a time beyond 64 bits": _shot(captured_ns=2**63),
    "a count beyond 64 bits": _shot(encoder=-(2**63) - 1),
    "another folder": _shot(file="../a.pgm"),
    "a path": _shot(file="/etc/passwd"),
    "a folder": _shot(file=".."),
    "a nul": _shot(file="a\0.pgm"),
    "a line in a name": _shot(file="a.pgm\n"),
    "an unknown fault": _shot(fault="tired"),
    "deep": b'{"captured_ns": 1, "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}\n",
    "long": b'{"captured_ns": 1, "x": "' + b"x" * 65_511 + b'"}\n',
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_line_is_told_and_the_rest_is_read(tmp_path: Path, case: str) -> None:
    (tmp_path / LINES).write_bytes(_shot() + DAMAGED[case] + _shot(captured_ns=2))
    first, *damaged, last = read_shots(tmp_path)
    assert (first, last) == (Shot(1), Shot(2))
    assert damaged
    assert not any(damaged)


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / LINES).write_bytes(_shot(weather="fine"))
    assert list(read_shots(tmp_path)) == [Shot(1)]


def test_a_folder_that_is_gone_ends_it_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with RecordingWriter(folder, "pgm") as writer:
        writer.write(Shot(1), GREY)
        shutil.rmtree(folder)
        with pytest.raises(StationError, match="out: No such file or directory after 1 pictures"):
            writer.write(Shot(2), GREY)


LARGE = np.zeros((2000, 2000), np.uint8)


@pytest.mark.parametrize("can_wait", [False, True])
def test_what_finds_no_room_is_dropped_and_noted_or_waits(tmp_path: Path, can_wait: bool) -> None:
    exposures = [Exposure(LARGE, number, number) for number in range(30)]
    with Recorder(RecordingWriter(tmp_path, "png"), room_bytes=1) as recorder:
        for exposure in exposures:
            recorder.put(exposure, can_wait)
    shots = [shot for shot in read_shots(tmp_path) if shot is not None]
    assert [shot.frame_id for shot in shots] == list(range(30))
    dropped = [shot for shot in shots if shot.fault == InvalidReason.OVERRUN]
    assert len(dropped) == recorder.dropped == 30 - recorder.writer.pictures
    assert all(shot.file is None for shot in dropped)
    assert bool(dropped) is not can_wait


def test_a_recorder_copies_what_it_takes(tmp_path: Path) -> None:
    buffer = np.zeros((50, 70), np.uint8)
    with Recorder(RecordingWriter(tmp_path, "pgm"), room_bytes=1 << 20) as recorder:
        for level in range(20):
            buffer[:] = level
            recorder.put(Exposure(buffer if level % 2 else buffer[::2].copy(), level, level))
    pictures = [read_picture(tmp_path / f"{level:06d}.pgm", 1e6) for level in range(20)]
    assert [not isinstance(one, InvalidReason) and np.unique(one).tolist() for one in pictures] == [
        [level] for level in range(20)
    ]


def test_what_fails_in_the_writing_thread_is_raised(tmp_path: Path) -> None:
    def fail() -> None:
        with Recorder(RecordingWriter(tmp_path / "out", "pgm"), room_bytes=1 << 20) as recorder:
            shutil.rmtree(tmp_path / "out")
            for number in range(100):
                recorder.put(Exposure(GREY, number, number), can_wait=True)

    with pytest.raises(StationError, match="after 0 pictures"):
        fail()


def test_a_folder_that_is_taken_fails_the_start(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(StationError, match="already"), Recorder(RecordingWriter(tmp_path, "pgm"), 1):
        pass
