import math
from pathlib import Path

import pytest

from station.archive.live import LiveFolder
from station.console.live.pictures import Pictures
from station.event import encode
from tests.evidence import NOON_NS, make_event


class Clocks:
    """A host's two clocks, set by hand."""

    def __init__(self) -> None:
        self.utc, self.tick = NOON_NS, 10**12

    def utc_ns(self) -> int:
        return self.utc

    def tick_ns(self) -> int:
        return self.tick


class Rig:
    def __init__(self, folder: Path) -> None:
        self.clocks, self.live = Clocks(), LiveFolder(folder)
        self.pictures = Pictures(folder, ("top", "side"), self.clocks)

    def put(self, number: int, published_ns: int = NOON_NS, camera: str = "top") -> None:
        event = make_event(number, camera=camera, published_ns=published_ns)
        self.live.put(camera, encode(event), b"picture %d" % number)


def test_what_is_new_is_taken_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert (rig.pictures.look(), rig.pictures.newest("top")) == (False, None)
    rig.put(1)
    rig.put(2, camera="side")
    assert [rig.pictures.look() for _ in range(2)] == [True, False]
    top, side = rig.pictures.newest("top"), rig.pictures.newest("side")
    assert top is not None
    assert side is not None
    assert [top.jpeg, side.jpeg] == [b"picture 1", b"picture 2"]


def test_the_last_three_can_be_asked_for_by_their_version(tmp_path: Path) -> None:
    rig, versions = Rig(tmp_path), []
    for number in range(1, 6):
        rig.put(number)
        rig.pictures.look()
        newest = rig.pictures.newest("top")
        assert newest is not None
        versions.append(newest.version)
    assert len(set(versions)) == 5
    found = [rig.pictures.find("top", version) for version in versions]
    assert [one and one.event.event for one in found] == [None, None, 3, 4, 5]
    assert rig.pictures.find("side", versions[-1]) is None
    assert rig.pictures.find("../top", versions[-1]) is None


def test_its_age_counts_from_the_capture_on_a_clock_that_does_not_step(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.put(1, NOON_NS - 30_000_000)
    rig.pictures.look()
    picture = rig.pictures.newest("top")
    assert picture is not None
    rig.clocks.utc += 3600 * 10**9
    assert picture.age_ms(rig.clocks.tick) == 31.0
    assert picture.age_ms(rig.clocks.tick + 500_000_000) == 531.0


@pytest.mark.parametrize("published_ns", [0, NOON_NS + 3600 * 10**9])
def test_what_was_never_published_or_comes_from_a_time_ahead_has_no_age(tmp_path: Path, published_ns: int) -> None:
    rig = Rig(tmp_path)
    rig.put(1, published_ns)
    rig.pictures.look()
    picture = rig.pictures.newest("top")
    assert picture is not None
    assert picture.age_ms(rig.clocks.tick) == math.inf


def test_a_file_that_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "top").write_bytes(b"nonsense")
    (tmp_path / "side").mkdir()
    assert not rig.pictures.look()
    rig.put(1)
    assert rig.pictures.look()
