"""The strip map's tables: each message once, over restarts of station and console; coils, their parts, and hours."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest

from station.client import Gap, Item, Renumbered
from station.console.database import Database
from station.console.strip import ledger
from station.console.strip.columns import read_columns
from station.console.strip.intake import Intake
from station.console.strip.progress import load_progress
from station.console.strip.retention import find_old, remove
from station.console.strip.tables import TABLES
from station.event import PositionRecord
from tests.strip_talk import FRAME_MM, HOUR_NS, ZERO_NS, StripTalk, defect


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as opened:
        opened.prepare("strip", TABLES)
        yield opened


def take(database: Database, items: Sequence[Item], journal: str = "j1", at_once: int = 10**6) -> None:
    for start in range(0, len(items), at_once):
        with database.write() as db:
            intake = Intake(db)
            for item in items[start : start + at_once]:
                intake.take(item, journal)
            intake.save()


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.read() as db:
        return [tuple(row) for row in db.execute(query)]


def coils(database: Database) -> list[tuple[object, ...]]:
    return rows(database, 'SELECT name, part, unit, "begin", "end", defects FROM strip_coils ORDER BY id')


def stretches(database: Database) -> list[tuple[object, ...]]:
    return rows(database, 'SELECT coil, "begin", "end", reason FROM strip_stretches ORDER BY coil, "begin"')


def everything(database: Database) -> list[list[tuple[object, ...]]]:
    tables = ("coils", "passes", "minutes", "counts", "stretches", "defects", "progress")
    return [rows(database, f"SELECT * FROM strip_{table}") for table in tables]


def test_a_coil_with_its_defects(database: Database) -> None:
    talk = StripTalk()
    for number in range(10):
        talk.frame(number * FRAME_MM, defects=(defect("scratches", 100, 50),) if number == 4 else ())
    take(database, talk.said)
    assert coils(database) == [("A-17", 1, "mm", 0.0, 10 * FRAME_MM, 1)]
    found = rows(database, 'SELECT event, number, verdict, "begin", "end", x_px, counts FROM strip_defects')
    assert found == [(5, 0, 1, 825.0, 835.0, 100, 1)]
    minutes = rows(database, "SELECT sum(accept), sum(reject), sum(invalid), sum(late) FROM strip_minutes")
    assert minutes == [(9, 1, 0, 2)]


@pytest.mark.parametrize("at_once", [1, 3, 7])
def test_any_cut_into_transactions_gives_the_same_tables(tmp_path: Path, at_once: int) -> None:
    talk = StripTalk()
    for number in range(20):
        talk.frame(number * FRAME_MM, defects=(defect("scratches", 10 * number, 5),), coil="A" if number < 9 else "B")
        talk.frame(number * FRAME_MM, camera="bottom", coil="A" if number < 9 else "B")
    talk.span(0, 4 * FRAME_MM, "", coil="A")
    found = []
    for name, size in (("one", at_once), ("two", 10**6)):
        with Database(tmp_path / name) as database:
            database.prepare("strip", TABLES)
            take(database, talk.said, at_once=size)
            found.append(everything(database))
    assert found[0] == found[1]
    assert len(found[0][0]) == 2


def test_what_comes_again_changes_nothing(database: Database) -> None:
    talk = StripTalk()
    for number in range(6):
        talk.frame(number * FRAME_MM, defects=(defect("crazing", 3, 3),))
    take(database, talk.said)
    before = everything(database)
    take(database, talk.said)
    assert everything(database) == before


def test_a_transaction_that_fails_leaves_nothing_behind(database: Database) -> None:
    talk = StripTalk()
    for number in range(4):
        talk.frame(number * FRAME_MM, defects=(defect("crazing", 3, 3),))
    take(database, talk.said[:2])
    before = everything(database)
    with suppress(RuntimeError), database.write() as db:
        intake = Intake(db)
        for message in talk.said[2:]:
            intake.take(message, "j1")
        intake.save()
        raise RuntimeError("the disk is full")
    assert everything(database) == before


def test_defects_that_go_on_or_were_seen_before_are_kept_and_not_counted(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0, defects=(defect("crazing", 3, 3),))
    talk.frame(FRAME_MM, defects=(msgspec.structs.replace(defect("crazing", 3, 3), goes_on=True),))
    talk.frame(0.0, defects=(defect("crazing", 3, 3),), reversed=True)
    take(database, talk.said)
    assert coils(database)[0][5] == 1
    assert rows(database, "SELECT sum(counts), count(*) FROM strip_defects") == [(1, 3)]


def test_stretches_of_the_station(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0)
    talk.frame(3 * FRAME_MM)
    talk.span(0.0, FRAME_MM, "")
    talk.span(FRAME_MM, 3 * FRAME_MM, "gap")
    take(database, talk.said)
    assert stretches(database) == [(1, FRAME_MM, 3 * FRAME_MM, "gap")]
    assert rows(database, "SELECT told, reached FROM strip_passes") == [(3 * FRAME_MM, 4 * FRAME_MM)]


def test_the_last_stretch_comes_after_the_next_coil_has_begun(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0, coil="A")
    talk.frame(0.0, coil="B")
    talk.span(0.0, 5 * FRAME_MM, "gap", coil="A", ends_coil=True)
    talk.span(0.0, FRAME_MM, "overrun", coil="B")
    take(database, talk.said, at_once=1)
    assert [row[4] for row in coils(database)] == [5 * FRAME_MM, FRAME_MM]
    assert stretches(database) == [(1, 0.0, 5 * FRAME_MM, "gap"), (2, 0.0, FRAME_MM, "overrun")]


def test_both_cameras_are_over_one_coil(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0, coil="A")
    talk.frame(0.0, coil="B")
    talk.frame(0.0, coil="A", camera="bottom")
    talk.frame(0.0, coil="B", camera="bottom")
    take(database, talk.said)
    assert [row[:2] for row in coils(database)] == [("A", 1), ("B", 1)]
    assert rows(database, "SELECT count(*) FROM strip_passes") == [(4,)]


def test_a_name_that_is_used_again_later_is_another_part(database: Database) -> None:
    talk = StripTalk()
    for coil in ("A", "B", "A"):
        talk.frame(0.0, coil=coil)
    take(database, talk.said)
    assert [row[:2] for row in coils(database)] == [("A", 1), ("B", 1), ("A", 2)]


def test_a_coil_goes_on_over_a_restart_of_the_station_by_its_counter(database: Database) -> None:
    talk = StripTalk()
    for number in range(4):
        talk.frame(number * FRAME_MM, count=1000 * number)
    talk.restart()
    talk.frame(0.0, count=7000, coil="", defects=(defect("inclusion", 1, 100),))
    talk.frame(FRAME_MM, count=8000, coil="")
    take(database, talk.said, at_once=2)
    assert coils(database) == [("A-17", 1, "mm", 0.0, 9 * FRAME_MM, 1)]
    assert stretches(database) == [(1, 4 * FRAME_MM, 7 * FRAME_MM, "restart")]
    assert rows(database, 'SELECT "begin" FROM strip_defects') == [(7 * FRAME_MM + 50,)]


def test_where_nothing_tells_how_far_it_went_another_part_begins(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0, count=1000)
    talk.restart()
    talk.frame(0.0, count=500)
    take(database, talk.said, at_once=1)
    assert [row[:2] for row in coils(database)] == [("A-17", 1), ("A-17", 2)]


def test_an_hour_is_a_coil_where_there_are_no_positions(database: Database) -> None:
    talk = StripTalk()
    talk.frame(None, defects=(defect("patches", 1, 1, placed=False),))
    talk.frame(None, reason="dark")
    talk.frame(None)
    talk.at(ZERO_NS + HOUR_NS)
    talk.frame(None)
    take(database, talk.said, at_once=1)
    assert [row[:3] for row in coils(database)] == [("2023-11-14 22:00", 1, "ms"), ("2023-11-14 23:00", 1, "ms")]
    assert stretches(database) == [(1, 2000.0, 3000.0, "dark")]
    assert rows(database, 'SELECT "begin" FROM strip_defects') == [(1000.0,)]


def test_a_camera_that_was_away_without_positions(database: Database) -> None:
    talk = StripTalk()
    talk.frame(None)
    talk.state("offline")
    talk.frame(None)
    take(database, talk.said)
    assert stretches(database) == [(1, 1000.0, 3000.0, "offline")]


def test_a_frame_whose_position_was_lost_stays_with_its_coil(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0)
    talk.frame(None, defects=(defect("patches", 1, 1, placed=False),))
    take(database, talk.said)
    assert coils(database) == [("A-17", 1, "mm", 0.0, FRAME_MM, 1)]
    assert rows(database, 'SELECT "begin" FROM strip_defects') == [(None,)]
    assert rows(database, "SELECT unplaced FROM strip_passes") == [(1,)]


def test_a_coil_without_an_end_goes_on_in_parts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOST_KEPT", 5)
    talk = StripTalk()
    for number in range(12):
        talk.frame(number * FRAME_MM, defects=(defect("crazing", 3, 3),))
        talk.frame(number * FRAME_MM, camera="bottom")
    talk.span(0.0, 12 * FRAME_MM, "overrun")
    take(database, talk.said)
    found = coils(database)
    assert [row[:2] for row in found] == [("A-17", 1), ("A-17", 2), ("A-17", 3)]
    assert [row[3:5] for row in found] == [
        (0.0, 5 * FRAME_MM),
        (4 * FRAME_MM, 10 * FRAME_MM),
        (9 * FRAME_MM, 12 * FRAME_MM),
    ]
    assert sum(row[5] for row in found) == 12
    assert max(row[2] for row in stretches(database)) == 12 * FRAME_MM


def test_lost_messages_are_noted_on_the_coil_that_runs(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0)
    take(database, [*talk.said, Gap(2, 8, "no longer in the journal")])
    talk.skip(7)
    talk.frame(FRAME_MM)
    take(database, talk.said)
    assert rows(database, "SELECT unheard, last_event FROM strip_coils") == [(7, 9)]


def test_another_journal_begins_at_its_own_numbers(database: Database) -> None:
    talk, other = StripTalk(), StripTalk(run="other")
    talk.frame(0.0)
    talk.frame(FRAME_MM)
    other.frame(0.0)
    take(database, talk.said)
    take(database, [Renumbered("another journal"), *other.said], journal="j2")
    assert rows(database, "SELECT journal, name, part, last_event FROM strip_coils") == [
        ("j1", "A-17", 1, 2),
        ("j2", "A-17", 2, 1),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"captured_ns": 10**40},
        {"captured_ns": -(10**40)},
        {"size_px": (10**400, 10**400)},
        {"position": PositionRecord(1.7e308, 1e308, None, "A-17", False)},
        {"position": PositionRecord(0.0, 0.5, 10**400, "A-17", False)},
        {"defects": (msgspec.structs.replace(defect("a", 1, 1), box_px=(10**30, 0, 0, 0), box_mm=(0, 0, 1, 1)),)},
        {"defects": (msgspec.structs.replace(defect("a", 1, 1), area_px=10**30, position_mm=(-1.7e308, 1.7e308)),)},
    ],
)
def test_what_no_station_says_stops_nothing(database: Database, changed: dict[str, object]) -> None:
    talk = StripTalk()
    talk.frame(0.0, count=1)
    odd = msgspec.structs.replace(talk.frame(FRAME_MM, count=2), **changed)
    talk.restart()
    talk.frame(2 * FRAME_MM, count=3)
    take(database, [talk.said[0], odd, talk.said[2]], at_once=1)
    with database.read() as db:
        assert db.execute("SELECT sum(accept + reject + invalid) FROM strip_minutes").fetchone()[0] == 3
        assert load_progress(db).last == 3
        assert all(np.isfinite(read_columns(db, 1).x_px))


def test_the_oldest_coils_go_and_none_that_runs(database: Database) -> None:
    talk = StripTalk()
    for number in range(6):
        talk.frame(0.0, coil=f"C{number}", defects=(defect("crazing", 3, 3),) * 3)
    take(database, talk.said)
    with database.write() as db:
        old = find_old(db, ZERO_NS, most_rows=7)
        assert old == [1, 2, 3, 4]
        assert find_old(db, ZERO_NS, most_coils=5) == [1]
        remove(db, 1)
    assert rows(database, "SELECT min(coil) FROM strip_defects") == [(2,)]


def test_a_clock_that_leaps_lets_nothing_go(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0, coil="A")
    talk.frame(0.0, coil="B")
    talk.at(ZERO_NS + 500 * 24 * HOUR_NS)
    talk.frame(0.0, coil="C")
    talk.frame(0.0, coil="D")
    take(database, talk.said)
    with database.read() as db:
        assert find_old(db, ZERO_NS) == []
        assert find_old(db, 2 * ZERO_NS) == [1, 2]
