"""Ids of parts and jobs by the tick of capture, and what is no id."""

import pytest

from shadowline.errors import StationError
from station.clock import ManualClock
from station.frame import Piece
from station.pieces import Pieces


def test_a_picture_carries_what_was_in_force_when_it_was_taken() -> None:
    clock = ManualClock()
    pieces = Pieces(clock)
    ticks = []
    for part in ("A", "B", "C"):
        clock.sleep(1.0)
        pieces.begin_part(part)
        ticks.append(clock.tick_ns())
    assert [pieces.at(tick_ns).part for tick_ns in ticks] == ["A", "B", "C"]
    assert [pieces.at(tick_ns - 1).part for tick_ns in ticks] == ["", "A", "B"]


def test_part_and_job_change_by_themselves() -> None:
    pieces = Pieces(ManualClock())
    pieces.begin_job("4711")
    pieces.begin_part("A")
    assert pieces.now == Piece("A", "4711")
    pieces.begin_job("")
    assert pieces.now == Piece("A", "")


def test_so_many_changes_are_remembered_and_no_more() -> None:
    clock = ManualClock()
    pieces = Pieces(clock)
    for number in range(1000):
        clock.sleep(1.0)
        pieces.begin_part(str(number))
    assert pieces.at(clock.tick_ns() - 200 * 10**9).part == "799"
    assert pieces.at(0).part == "744"  # the oldest of 256


def test_the_same_id_again_is_no_change() -> None:
    clock = ManualClock()
    pieces = Pieces(clock)
    for part in ["A", *["B"] * 1000]:
        clock.sleep(1.0)
        pieces.begin_part(part)
    assert pieces.at(clock.tick_ns() - 1000 * 10**9).part == "A"


@pytest.mark.parametrize("given", ["x" * 65, "a\tb", "\x00", "\ud800"])
def test_what_is_no_id_leaves_the_one_before(given: str) -> None:
    pieces = Pieces(ManualClock())
    pieces.begin_part("A")
    for begin in (pieces.begin_part, pieces.begin_job):
        with pytest.raises(StationError, match="at most 64 printable characters"):
            begin(given)
    assert pieces.now == Piece("A", "")
