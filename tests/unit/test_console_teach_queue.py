"""The queue: the archive's newest and what was sent, to one person each; the archive is only read."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from station.archive.index import open_index
from station.archive.reconcile import reconcile
from station.config.teach import TeachConfig
from station.console.database import Database
from station.console.teach.decisions import Decisions
from station.console.teach.queue import Queue
from station.console.tryout.inbox import Inbox
from tests.evidence import NOON_NS, fill, make_event


class Tick:
    """A clock that goes on by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as database:
        Inbox(database)
        yield database


def archive_of(tmp_path: Path, count: int = 4) -> Path:
    archive = tmp_path / "archive"
    fill(archive, [make_event(number, ("scratches",), captured_ns=NOON_NS + number) for number in range(1, count + 1)])
    index(archive)
    return archive


def index(archive: Path) -> None:
    with open_index(archive) as opened:
        for _ in reconcile(archive, opened):
            pass


def queue_of(archive: Path | None, database: Database, tick: Tick, newest: int = 100) -> tuple[Queue, Decisions]:
    decisions = Decisions(database)
    return Queue(archive, TeachConfig(newest=newest), database, decisions.is_finished, tick_s=tick), decisions


def test_what_was_decided_is_asked_no_more(tmp_path: Path, database: Database) -> None:
    queue, decisions = queue_of(archive_of(tmp_path), database, Tick())
    first = queue.take("ann", 1)[0]
    decisions.add("id-1", first.id, "ann", "skip", "", None, first.source)
    assert len(queue.waiting()) == 3
    assert first.id not in {item.id for item in queue.waiting()}
    assert queue.find(first.id) == first


def test_two_people_get_different_pictures_until_one_leaves_theirs(tmp_path: Path, database: Database) -> None:
    tick = Tick()
    queue, _ = queue_of(archive_of(tmp_path), database, tick)
    ann = queue.take("ann", 3)
    assert [item.source.event for item in ann] == [4, 3, 2]
    assert [item.source.event for item in queue.take("bob", 3)] == [1]
    assert queue.take("ann", 3, [item.id for item in ann]) == []
    tick.now_s = 1000.0
    assert len(queue.take("bob", 4)) == 4


def test_new_evidence_is_found_and_what_the_archive_let_go_is_forgotten(tmp_path: Path, database: Database) -> None:
    archive, tick = archive_of(tmp_path), Tick()
    queue, _ = queue_of(archive, database, tick)
    oldest = queue.waiting()[-1]
    fill(archive, [make_event(9, ("unknown",), captured_ns=NOON_NS + 9)])
    shutil.rmtree(archive / oldest.place)
    index(archive)
    tick.now_s = 10.0
    assert [item.source.event for item in queue.waiting()] == [9, 4, 3, 2]
    with pytest.raises(StationError, match="is gone"):
        queue.find(oldest.id)


def test_only_the_newest_are_looked_through_and_older_ones_found_when_asked_for(
    tmp_path: Path, database: Database
) -> None:
    queue, _ = queue_of(archive_of(tmp_path), database, Tick(), newest=2)
    assert [item.source.event for item in queue.waiting()] == [4, 3]
    assert queue.find("000000000001-0123456789ab.0").source.event == 1


@pytest.mark.parametrize("number", ["../x", "sent.7", "000000000001-0123456789ab.7", "000000000099-0123456789ab.0", ""])
def test_what_is_no_picture_is_told(tmp_path: Path, database: Database, number: str) -> None:
    queue, _ = queue_of(archive_of(tmp_path), database, Tick())
    with pytest.raises(StationError, match="is gone"):
        queue.find(number)


def test_reasons_choose(tmp_path: Path, database: Database) -> None:
    archive = archive_of(tmp_path)
    fill(archive, [make_event(9, ("unknown",), captured_ns=NOON_NS + 9)])
    index(archive)
    queue, _ = queue_of(archive, database, Tick())
    assert [item.source.event for item in queue.take("ann", 8, (), ("unknown",))] == [9]


def test_without_an_archive_or_with_a_broken_one_it_says_so(tmp_path: Path, database: Database) -> None:
    queue, _ = queue_of(None, database, Tick())
    assert queue.waiting() == []
    assert queue.why_none == "no_archive"
    queue, _ = queue_of(tmp_path, database, Tick())
    assert queue.waiting() == []
    assert "station archive index" in queue.why_none


def test_pictures_that_somebody_sent_come_first_and_stay_a_while_for_who_takes_it_back(
    tmp_path: Path, database: Database
) -> None:
    png = cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tobytes()
    number = Inbox(database).put("dent.bmp", "ann", png, {})
    tick = Tick()
    queue, decisions = queue_of(archive_of(tmp_path), database, tick)
    first = queue.waiting()[0]
    assert (first.id, first.reason, first.source.size_px) == (f"sent.{number}", "sent", (30, 20))
    assert queue.picture(first) == png
    decisions.add("id-1", first.id, "ann", "label", "dents", None, first.source, (png, (0, 0, 30, 20)))
    tick.now_s = 10.0
    assert "sent" not in {item.reason for item in queue.waiting()}
    assert queue.find(first.id).source.name == "dent.bmp"
    with database.write() as db:
        db.execute("UPDATE teach_decisions SET decided_ns = 0")
    tick.now_s = 20.0
    queue.waiting()
    tick.now_s = 30.0
    queue.waiting()
    with pytest.raises(StationError, match="is gone"):
        queue.find(first.id)
