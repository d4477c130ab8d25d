import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from station.archive.guard import DiskGuard, Room
from station.clock import ManualClock


class Disk:
    """A disk with as much room as a test says, and what the guard told of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_mb = 1000
        self.gone = False
        self.told: list[tuple[str, str]] = []
        self.clock = ManualClock()
        monkeypatch.setattr(os, "statvfs", self._statvfs)
        self.guard = DiskGuard(Path("/evidence"), 500, 200, self.clock, lambda *told: self.told.append(told))

    def _statvfs(self, path: Path) -> SimpleNamespace:
        if self.gone:
            raise OSError(errno.EIO, "Input/output error")
        return SimpleNamespace(f_bavail=self.free_mb * 1000, f_frsize=1000)

    def look(self, free_mb: int) -> Room:
        self.free_mb = free_mb
        self.clock.sleep(1.0)
        self.guard.look()
        return self.guard.room


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_first_whole_frames_go_then_crops_and_back_only_with_a_tenth_more_room(disk: Disk) -> None:
    seen = [disk.look(free) for free in (500, 499, 549, 200, 199, 219, 220, 549, 550)]
    everything, crops, nothing = Room.ALL, Room.CROPS, Room.NOTHING
    assert seen == [everything, crops, crops, crops, nothing, nothing, crops, crops, everything]


def test_each_step_is_told_once_and_says_what_is_left_out(disk: Disk) -> None:
    for free in (900, 800, 300, 290, 100, 90, 800, 900):
        disk.look(free)
    assert disk.told == [
        ("degraded", "whole frames are left out: 300 MB are free, less than frames_free_mb = 500"),
        ("offline", "nothing is kept: 100 MB are free, less than crops_free_mb = 200"),
        ("online", "all is kept: 800 MB are free"),
    ]


def test_a_disk_that_fails_is_left_alone_for_seconds_and_then_tried(disk: Disk) -> None:
    disk.look(1000)
    for _ in range(3):
        disk.guard.fail(OSError(errno.ENOSPC, "No space left on device"))
        assert (disk.guard.room, disk.guard.state) == (Room.NOTHING, "offline")
        assert [disk.look(1000) for _ in range(5)] == [Room.NOTHING] * 4 + [Room.ALL]
    assert disk.guard.state == "offline"
    disk.guard.succeed()
    assert disk.guard.state == "online"
    assert disk.told == [("offline", "nothing is kept: the disk is full"), ("online", "all is kept: 1000 MB are free")]


def test_a_disk_that_is_gone_is_told(disk: Disk) -> None:
    disk.gone = True
    assert disk.look(1000) is Room.NOTHING
    assert disk.told == [("offline", "nothing is kept: Input/output error")]


def test_it_looks_once_a_second(disk: Disk) -> None:
    disk.look(1000)
    disk.free_mb = 0
    disk.guard.look()
    assert disk.guard.room is Room.ALL
