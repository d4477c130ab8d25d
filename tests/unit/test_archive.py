import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from shadowline.errors import ConfigError
from station.archive.archive import Archive
from station.archive.evidence import RECORD, Evidence, decode
from station.archive.live import LivePicture, read_live
from station.archive.shelf import owned
from station.clock import HostClock
from station.config import ArchiveConfig
from station.event import encode as encode_message
from station.worker import Worker
from tests.evidence import CUT, fill, make_event, make_frame

ROOM = {"frames_free_mb": 0, "crops_free_mb": 0, "live_hz": 0}


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to pass")


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy computer have the time that it needs."""
    monkeypatch.setattr("station.archive.archive._DRAIN_S", 60.0)


class Rig:
    """An archive of its own, and what it told."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.live = folder / "runtime" / "line.live"
        self.told: list[tuple[str, str]] = []
        config = ArchiveConfig(**ROOM | settings)
        self.archive = Archive(folder, self.live, config, HostClock(), lambda *told: self.told.append(told), Random(0))

    @contextmanager
    def running(self) -> Iterator[Archive]:
        with Worker("archive", self.archive.run, self.archive.stop, join_s=90.0) as worker:
            yield self.archive
        if worker.failure is not None:
            raise worker.failure

    def process(self) -> psutil.Process:
        """Wait for the process that keeps; before it runs its own program it can't be halted without harm."""
        wait_until(lambda: bool(self._processes()))
        (process,) = self._processes()
        return process

    def _processes(self) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if "station.archive.serve" in child.cmdline()]

    def shown(self, camera: str = "top") -> LivePicture | None:
        return read_live(self.live, camera)

    def await_shown(self, number: int, camera: str = "top") -> LivePicture:
        wait_until(lambda: (shown := self.shown(camera)) is not None and shown.event.event == number)
        shown = self.shown(camera)
        assert shown is not None
        return shown

    def kept(self) -> dict[int, Evidence]:
        found = [decode(path.read_bytes()) for path in self.folder.glob(f"2*/*/*/*/{RECORD}")]
        return {evidence.event.event: evidence for evidence in found}


def test_a_rejected_frame_is_kept_whole_with_its_regions_and_the_bytes_that_were_published(tmp_path: Path) -> None:
    rig, frame = Rig(tmp_path), make_frame()
    event = make_event(5, ("scratches", "patches"))
    with rig.running() as archive:
        archive.offer(frame, event, CUT)
        wait_until(lambda: archive.figures().bytes > 0)
    evidence = rig.kept()[5]
    assert [one.file for one in evidence.pictures] == ["crop-000.png", "crop-001.png", "frame.jpg"]
    assert (evidence.labels, evidence.left_out) == (("scratches", "patches"), ())
    (record,) = tmp_path.glob(f"2*/top/*/000000000005-*/{RECORD}")
    assert encode_message(event) in record.read_bytes()
    x, y, width, height = evidence.pictures[0].box_px
    crop = cv2.imread(str(record.with_name("crop-000.png")), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(crop, frame.image[y : y + height, x : x + width])
    assert archive.figures().kept == 1
    assert archive.figures().bytes == 5 * 4096 + 4096 * -(-evidence.pictures[2].bytes // 4096) - 4096


def test_the_frame_may_be_used_again_at_once(tmp_path: Path) -> None:
    rig, image = Rig(tmp_path), make_frame().image.copy()
    frame = make_frame()
    object.__setattr__(frame, "image", image)
    expected = image.copy()
    with rig.running() as archive:
        archive.offer(frame, make_event(1), CUT)
        image[:] = 0
    (crop,) = tmp_path.glob("2*/*/*/*/crop-000.png")
    x, y, width, height = rig.kept()[1].pictures[0].box_px
    assert np.array_equal(cv2.imread(str(crop), cv2.IMREAD_UNCHANGED), expected[y : y + height, x : x + width])


def test_without_a_free_buffer_evidence_is_dropped_and_counted_and_nobody_waits(tmp_path: Path) -> None:
    rig = Rig(tmp_path, queue_frames=3)
    with rig.running() as archive:
        process = rig.process()
        process.suspend()
        for number in range(10):
            archive.offer(make_frame(), make_event(number), CUT)
        assert archive.figures().dropped == {"busy": 7}
        process.resume()
    assert sorted(rig.kept()) == [0, 1, 2]
    assert archive.figures().kept == 3


def test_frames_of_two_sizes_share_a_slot(tmp_path: Path) -> None:
    rig = Rig(tmp_path, queue_frames=1)
    sizes = [(200, 120), (240, 160)] * 3
    with rig.running() as archive:
        for number, size in enumerate(sizes, start=1):
            archive.offer(make_frame(size=size), make_event(number), CUT)
            wait_until(lambda: archive.figures().kept == number)  # noqa: B023 - called before the next one
    kept = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(tmp_path.glob("2*/*/*/*/frame.jpg"))]
    assert [image.shape[::-1] for image in kept] == sizes


def test_what_is_not_worth_keeping_costs_no_buffer(tmp_path: Path) -> None:
    rig = Rig(tmp_path, queue_frames=1, audit_share=0)
    with rig.running() as archive:
        for number in range(5):
            archive.offer(make_frame(), make_event(number, verdict="accept"), CUT)
    assert rig.kept() == rig.archive.figures().dropped == {}


def test_an_event_that_is_never_published_is_kept_all_the_same(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with rig.running() as archive:
        archive.offer(make_frame(), make_event(1, published_ns=0), CUT)
    assert rig.kept()[1].event.published_ns == 0


def test_evidence_waits_for_its_event_to_be_published(tmp_path: Path) -> None:
    rig, event = Rig(tmp_path), make_event(1, published_ns=0)
    with rig.running() as archive:
        archive.offer(make_frame(), event, CUT)
        event.published_ns = 77
    assert rig.kept()[1].event.published_ns == 77


def test_with_little_room_whole_frames_are_left_out_and_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path, frames_free_mb=10**8)
    with rig.running() as archive:
        archive.offer(make_frame(), make_event(1), CUT)
        archive.offer(make_frame(), make_event(2, (), "invalid"), CUT)
    evidence = rig.kept()[1]
    assert [one.file for one in evidence.pictures] == ["crop-000.png"]
    assert evidence.left_out == ("the whole frame: little room on the disk",)
    assert list(rig.kept()) == [1]
    assert archive.figures().dropped == {"disk": 2}
    assert [state for state, _ in rig.told] == ["degraded"]


def test_with_no_room_nothing_is_kept(tmp_path: Path) -> None:
    rig = Rig(tmp_path, frames_free_mb=10**8, crops_free_mb=10**8)
    with rig.running() as archive:
        archive.offer(make_frame(), make_event(1), CUT)
    assert rig.kept() == {}
    assert archive.figures().dropped == {"disk": 1}
    assert archive.figures().state == "offline"


def test_too_many_regions_are_counted_in_the_record(tmp_path: Path) -> None:
    rig = Rig(tmp_path, frames="never")
    with rig.running() as archive:
        archive.offer(make_frame(), make_event(1, ("patches",) * 40), CUT)
    assert len(rig.kept()[1].pictures) == 32
    assert rig.kept()[1].left_out == ("8 more regions: too many",)


def test_what_was_there_before_is_found_and_kept_within_the_limits(tmp_path: Path) -> None:
    fill(tmp_path, [make_event(number, ("old",)) for number in range(200)])
    rig = Rig(tmp_path, max_mb=1)
    with rig.running() as archive:
        wait_until(lambda: 0 < archive.figures().bytes <= 1_000_000)
    assert sorted(rig.kept()) == list(range(200 - 1_000_000 // 12_288, 200))


def test_two_stations_can_not_keep_in_one_folder(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with owned(tmp_path), pytest.raises(ConfigError, match="another station uses it"), rig.running():
        pass


def test_a_folder_that_can_not_be_written_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"\[archive\] folder .*file"), Rig(tmp_path / "file").running():
        pass


def test_nothing_is_left_open(tmp_path: Path) -> None:
    with Rig(tmp_path).running() as archive:
        archive.offer(make_frame(), make_event(1), CUT)
    with owned(tmp_path):
        assert os.listdir(tmp_path / ".work") == []


def test_a_process_that_dies_costs_the_frames_it_had_and_is_started_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, queue_frames=20)
    with rig.running() as archive:
        process = rig.process()
        process.suspend()
        for number in range(12):
            archive.offer(make_frame(), make_event(number), CUT)
        wait_until(lambda: len(archive._asked) == 8)
        process.kill()
        wait_until(lambda: archive.figures().state == "offline")
        archive.offer(make_frame(), make_event(12), CUT)
        wait_until(lambda: archive.figures().state == "online")
        archive.offer(make_frame(), make_event(13), CUT)
    lost = archive.figures().dropped["failed"] - 1
    assert lost in (7, 8)  # before the first it may have been asked how the archive is
    assert sorted(rig.kept()) == [*range(lost, 12), 13]
    assert archive.figures().kept == 13 - lost
    assert rig.told == [
        ("offline", f"nothing is kept: the archive's process died of SIGKILL; frames that it had: {lost}"),
        ("online", "evidence is kept again"),
    ]


def test_what_the_dead_one_left_half_written_goes(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with rig.running() as archive:
        archive.offer(make_frame(), make_event(1), CUT)
        wait_until(lambda: archive.figures().kept == 1)
        half = tmp_path / ".work" / "000000000002-1a2b3c4d5e6f"
        half.mkdir()
        rig.process().kill()
        wait_until(lambda: not half.exists())
    assert not (tmp_path / ".swept").exists()


def test_a_process_that_hangs_holds_up_the_end_for_seconds_only_and_what_it_lost_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("station.archive.archive._DRAIN_S", 0.1)
    rig = Rig(tmp_path, queue_frames=10)
    with rig.running() as archive:
        process = rig.process()
        process.suspend()
        for number in range(10):
            archive.offer(make_frame(), make_event(number), CUT)
        wait_until(lambda: len(archive._asked) == 8)
    assert archive.figures().dropped == {"failed": 10}
    assert "did not answer for" in caplog.text
    lost, left = re.findall(r"frames that it had: (\d+)|(\d+) frames were not kept", caplog.text)
    assert int(lost[0]) + int(left[1]) == 10
    wait_until(lambda: not process.is_running())


def test_a_process_that_hangs_under_way_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("station.archive.process._SILENT_S", 2.0)
    rig = Rig(tmp_path)
    with rig.running() as archive:
        process = rig.process()
        process.suspend()
        archive.offer(make_frame(), make_event(1), CUT)
        wait_until(lambda: not process.is_running())
        wait_until(lambda: archive.figures().state == "online")
    assert archive.figures().dropped == {"failed": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_processes_of_the_station_does_not_end_it(tmp_path: Path, number: signal.Signals) -> None:
    rig = Rig(tmp_path)
    with rig.running() as archive:
        rig.process().send_signal(number)
        archive.offer(make_frame(), make_event(1), CUT)
    assert sorted(rig.kept()) == [1]
    assert rig.told == []


def test_a_process_that_can_not_be_started_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with rig.running() as archive:
        wait_until(lambda: archive.figures().state == "offline")
        monkeypatch.undo()
        wait_until(lambda: archive.figures().state == "online")
    assert rig.told[0] == (
        "offline",
        "nothing is kept: the archive's process can't be started: No such file or directory; frames that it had: 0",
    )


def pixels(jpeg: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_newest_frame_of_each_camera_is_shown_with_its_event_and_is_no_evidence(tmp_path: Path) -> None:
    rig, event = Rig(tmp_path, live_hz=20, audit_share=0), make_event(1, ("patches",), "accept")
    with rig.running() as archive:
        archive.offer(make_frame(), event, CUT)
        archive.offer(make_frame("side"), make_event(2, (), "accept", camera="side"), CUT)
        shown, beside = rig.await_shown(1), rig.await_shown(2, "side")
        wait_until(lambda: not archive._asked)
    assert (shown.event, beside.event.camera) == (event, "side")
    assert np.abs(pixels(shown.jpeg).astype(int) - make_frame().image).mean() < 20
    assert rig.kept() == archive.figures().dropped == {}
    assert (archive.figures().kept, rig.live.exists()) == (0, False)


def test_a_picture_for_the_screen_is_at_most_960_pixels_wide(tmp_path: Path) -> None:
    rig = Rig(tmp_path, live_hz=20)
    with rig.running() as archive:
        archive.offer(make_frame(size=(2048, 1000)), make_event(1, (), "accept"), CUT)
        assert pixels(rig.await_shown(1).jpeg).shape == (469, 960)


def test_no_camera_is_shown_more_often_than_asked(tmp_path: Path) -> None:
    rig = Rig(tmp_path, live_hz=0.001)
    with rig.running() as archive:
        for number in range(1, 5):
            archive.offer(make_frame(), make_event(number, (), "accept"), CUT)
        archive.offer(make_frame("side"), make_event(5, (), "accept", camera="side"), CUT)
        rig.await_shown(5, "side")
        assert rig.await_shown(1).event.event == 1


def test_a_frame_that_is_kept_is_shown_as_well(tmp_path: Path) -> None:
    rig = Rig(tmp_path, live_hz=0.001, queue_frames=1)
    with rig.running() as archive:
        archive.offer(make_frame(), make_event(1), CUT)
        assert rig.await_shown(1).event.verdict == "reject"
    assert sorted(rig.kept()) == [1]


def test_what_is_shown_takes_no_slot_of_evidence(tmp_path: Path) -> None:
    rig = Rig(tmp_path, live_hz=20, queue_frames=2)
    cameras = ("a", "b", "c", "d", "e")
    with rig.running() as archive:
        process = rig.process()
        process.suspend()
        for number, camera in enumerate(cameras):
            archive.offer(make_frame(camera), make_event(number, (), "accept", camera=camera), CUT)
        for number in range(10, 14):
            archive.offer(make_frame(), make_event(number), CUT)
        assert archive.figures().dropped == {"busy": 2}
        process.resume()
    assert sorted(rig.kept()) == [10, 11]
    assert archive.figures().dropped == {"busy": 2}


def test_a_camera_for_which_there_was_no_room_is_shown_before_the_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path, live_hz=20)
    with rig.running() as archive:
        process = rig.process()
        process.suspend()
        for number, camera in enumerate(("a", "b", "late"), 1):
            archive.offer(make_frame(camera), make_event(number, (), "accept", camera=camera), CUT)
        process.resume()
        rig.await_shown(2, "b")
        wait_until(lambda: not archive._asked)
        archive.offer(make_frame("other"), make_event(4, (), "accept", camera="other"), CUT)
        archive.offer(make_frame("late"), make_event(5, (), "accept", camera="late"), CUT)
        rig.await_shown(5, "late")
        assert rig.shown("other") is None


def test_pictures_are_shown_where_the_disk_has_no_room_for_evidence(tmp_path: Path) -> None:
    rig = Rig(tmp_path, live_hz=20, frames_free_mb=10**8, crops_free_mb=10**8)
    with rig.running() as archive:
        archive.offer(make_frame(), make_event(1), CUT)
        rig.await_shown(1)
        wait_until(lambda: archive.figures().dropped == {"disk": 1})
        archive.offer(make_frame("side"), make_event(2, camera="side"), CUT)
        rig.await_shown(2, "side")
    assert archive.figures().dropped == {"disk": 2}


def test_while_the_process_is_dead_nothing_is_shown_nor_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path, live_hz=20)
    with rig.running() as archive:
        process = rig.process()
        process.suspend()
        archive.offer(make_frame(), make_event(1, (), "accept"), CUT)
        wait_until(lambda: any(piece is not None for piece in archive._asked))
        process.kill()
        wait_until(lambda: archive.figures().state == "offline")
        archive.offer(make_frame(), make_event(2, (), "accept"), CUT)
        wait_until(lambda: archive.figures().state == "online")
        archive.offer(make_frame("side"), make_event(3, (), "accept", camera="side"), CUT)
        rig.await_shown(3, "side")
        assert rig.shown() is None
    assert archive.figures().dropped == {}
    assert rig.told[0][1].endswith("frames that it had: 0")


def test_a_folder_for_pictures_that_can_not_be_made_is_said_once_and_costs_no_evidence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, live_hz=20)
    (tmp_path / "runtime").write_text("")
    with rig.running() as archive:
        for number in range(1, 4):
            archive.offer(make_frame(str(number)), make_event(number, camera=str(number)), CUT)
        wait_until(lambda: archive.figures().kept == 3)
    assert caplog.text.count("no live pictures") == 1
    assert "Not a directory" in caplog.text
