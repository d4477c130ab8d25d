"""Decisions: added once, never removed, the newest standing one counts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shadowline.errors import StationError
from station.console.database import Database
from station.console.teach.decisions import Decisions
from station.console.teach.item import Source

REGION = Source(camera="top", event=7, run="ab", label="scratches", region_px=(1, 2, 3, 4))
FRAME = Source(camera="top", event=8, run="ab")
CUT = (b"png", (0, 0, 32, 32))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as database:
        yield database


def test_a_request_that_comes_again_counts_once(database: Database) -> None:
    decisions = Decisions(database)
    first = decisions.add("id-1", "7.0", "ann", "label", "dents", None, REGION, CUT)
    again = decisions.add("id-1", "7.0", "ann", "label", "dents", None, REGION, CUT)
    assert first == again
    assert decisions.counts() == {"dents": 1}
    assert len(decisions.of_item("7.0")) == 1


def test_two_that_come_at_once_count_once(database: Database) -> None:
    decisions = Decisions(database)
    with ThreadPoolExecutor(8) as pool:
        add = [pool.submit(decisions.add, "id-1", "7.0", "ann", "skip", "", None, REGION) for _ in range(16)]
        assert len({one.result().n for one in add}) == 1
    assert len(decisions.last(100)) == 1


def test_the_newest_decision_counts_and_the_history_keeps_all(database: Database) -> None:
    decisions = Decisions(database)
    decisions.add("id-1", "7.0", "ann", "label", "dents", None, REGION, CUT)
    decisions.add("id-2", "7.0", "bob", "not_a_defect", "not-a-defect", None, REGION, CUT)
    assert decisions.counts() == {"not-a-defect": 1}
    assert [(one.person, one.old_label, one.label) for one in decisions.of_item("7.0")] == [
        ("ann", "scratches", "dents"),
        ("bob", "scratches", "not-a-defect"),
    ]


def test_what_is_taken_back_counts_no_more_and_the_one_before_does(database: Database) -> None:
    decisions = Decisions(database)
    decisions.add("id-1", "7.0", "ann", "label", "dents", None, REGION, CUT)
    decisions.add("id-2", "7.0", "ann", "label", "pits", None, REGION, CUT)
    decisions.undo("id-3", "id-2", "ann")
    assert decisions.counts() == {"dents": 1}
    assert decisions.is_finished("7.0")
    decisions.undo("id-4", "id-1", "ann")
    decisions.undo("id-4", "id-1", "ann")
    assert decisions.counts() == {}
    assert not decisions.is_finished("7.0")
    assert len(decisions.of_item("7.0")) == 4


def test_only_its_own_person_takes_a_decision_back(database: Database) -> None:
    decisions = Decisions(database)
    decisions.add("id-1", "7.0", "ann", "skip", "", None, REGION)
    with pytest.raises(StationError, match="ann decided that"):
        decisions.undo("id-2", "id-1", "bob")
    with pytest.raises(StationError, match="no such decision"):
        decisions.undo("id-2", "id-9", "ann")


def test_boxes_that_were_drawn_into_a_frame_count_each_until_it_is_done(database: Database) -> None:
    decisions = Decisions(database)
    for number, box in enumerate([(0, 0, 9, 9), (5, 5, 9, 9), (0, 0, 9, 9)]):
        decisions.add(f"id-{number}", "8.frame", "ann", "label", "dents", box, FRAME, CUT)
    assert not decisions.is_finished("8.frame")
    assert decisions.counts() == {"dents": 2}
    decisions.add("id-9", "8.frame", "ann", "done", "", None, FRAME)
    assert decisions.is_finished("8.frame")


def test_a_region_that_is_drawn_anew_is_the_same_region(database: Database) -> None:
    decisions = Decisions(database)
    decisions.add("id-1", "7.0", "ann", "label", "dents", None, REGION, CUT)
    decisions.add("id-2", "7.0", "ann", "label", "dents", (0, 0, 9, 9), REGION, (b"other", (0, 0, 9, 9)))
    (one,) = decisions.labelled()
    assert (one.decided.box, one.png, one.shown_px) == ((0, 0, 9, 9), b"other", (0, 0, 9, 9))


def test_another_process_finds_all_of_it(database: Database) -> None:
    Decisions(database).add("id-1", "7.0", "ann", "label", "dents", None, REGION, CUT)
    later = Decisions(database)
    assert later.is_finished("7.0")
    assert later.made_today("ann") == 1
    assert [one.source for one in later.last(5, "ann")] == [REGION]
