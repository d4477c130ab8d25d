import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from station.clock import ManualClock
from station.event import EngineRecord, Heartbeat, LossEvent, encode
from station.journal.database import damaged_files, open_reader
from station.journal.numbers import LEASED
from station.journal.reader import BAD_CHECKSUM, bounds, read
from station.journal.store import Loss
from tests.journals import ORIGIN, change, keeping, line_numbers, wait_until

DAY_S = 86_400.0
ENDED = "the station ended before they were on the disk"


@pytest.fixture(autouse=True)
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "marks"))
    return tmp_path / "marks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let nobody else write into the database."""
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def killed(*folders: Path) -> None:
    """Leave copies of `folders` under `<name>.killed`, as SIGKILL would leave them at this moment."""
    for folder in folders:
        shutil.copytree(folder, f"{folder}.killed")


def restore(*folders: Path) -> None:
    """Put the copies into the place of `folders`."""
    for folder in folders:
        shutil.rmtree(folder)
        Path(f"{folder}.killed").rename(folder)


def numbers_in(folder: Path) -> list[int]:
    with closing(open_reader(folder / "journal.db")) as reader:
        return line_numbers(read(reader, 0, 2**62, 2**62).parts)


def test_what_was_put_is_on_the_disk_and_numbers_go_on_behind_it(folder: Path, marks: Path) -> None:
    with keeping(folder) as kept:
        assert kept.resumed == 0
        kept.put(1, 2, 3)
        kept.wait_for(3)
        record = kept.journal.record
        assert (record.first, record.last, record.waiting, record.state) == (1, 3, 0, "online")
    with keeping(folder) as kept:
        assert (kept.resumed, kept.journal.id) == (3, record.id)
        kept.put(4)
    assert (kept.states, kept.losses) == ([], [])
    assert numbers_in(folder) == [1, 2, 3, 4]
    assert list(marks.iterdir()) == []


def test_the_end_waits_for_what_was_put(folder: Path) -> None:
    with keeping(folder, commit_ms=10_000) as kept:
        kept.put(*range(1, 10_001))
    assert numbers_in(folder) == list(range(1, 10_001))


def test_heartbeats_are_the_newest_of_their_topic_and_not_kept(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2)
        beat = Heartbeat(ORIGIN, 5, 1.0, 2, {}, EngineRecord("fake", (), ""), {})
        kept.journal.put(beat, encode(beat))
        assert line_numbers([kept.journal.latest["state.top"]]) == [2]
        assert kept.journal.latest["heartbeat"] == encode(beat)
    assert numbers_in(folder) == [1, 2]


def test_after_a_kill_just_the_tail_is_announced_as_lost(folder: Path, marks: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2)
        kept.wait_for(2)
        with locked(folder):
            kept.put(3, 4, 5)
            killed(folder, marks)
    restore(folder, marks)
    with keeping(folder) as kept:
        assert kept.resumed == 5
        kept.put(6)
        wait_until(lambda: kept.losses)
    assert kept.losses == [Loss(3, 5, ENDED)]
    assert numbers_in(folder) == [1, 2, 6]


def test_after_a_power_cut_numbers_leap_so_that_none_is_used_twice(folder: Path, marks: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2)
        kept.wait_for(2)
        kept.mark(2000)
        killed(folder)
    restore(folder)
    with keeping(folder) as kept:
        assert kept.resumed == LEASED
        kept.put(LEASED + 1)
        wait_until(lambda: kept.losses)
    assert kept.losses == [Loss(3, LEASED, f"{ENDED}, if they were given at all")]


def test_a_loss_is_announced_until_the_announcement_is_on_the_disk(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 4)
        wait_until(lambda: kept.losses)
    with keeping(folder) as kept:
        wait_until(lambda: kept.losses)
        assert kept.losses == [Loss(2, 3, "the outbox was full")]
        told = LossEvent(5, ORIGIN, 2, 3, "", 0, 0)
        kept.mark(5)
        kept.journal.put(told, encode(told))
        kept.wait_for(5)
    with keeping(folder) as kept:
        kept.put(6)
        kept.wait_for(6)
    assert kept.losses == []


def test_a_locked_database_is_told_once_and_nothing_is_lost(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1)
        kept.wait_for(1)
        with locked(folder):
            kept.put(2, 3)
            wait_until(lambda: kept.states)
            assert kept.journal.record.state == "degraded"
            assert kept.journal.record.waiting == 2
        kept.wait_for(3)
        wait_until(lambda: len(kept.states) == 2)
    assert kept.states == [("degraded", "database is locked"), ("online", "")]
    assert kept.losses == []


def test_what_memory_can_not_hold_is_lost_as_one_range_with_its_reason(folder: Path) -> None:
    with keeping(folder, queue_mb=1) as kept:
        kept.put(1)
        kept.wait_for(1)
        with locked(folder):
            kept.put(2)
            wait_until(lambda: kept.states)
            kept.put(*range(3, 203), size=10_000)
        kept.put(203)
        wait_until(lambda: kept.journal.record.waiting == 0)
        kept.put(204)
        wait_until(lambda: kept.losses)
    (loss,) = kept.losses
    assert loss.reason == "too much waited for the disk: database is locked"
    assert kept.journal.dropped == {"too much waited for the disk": loss.last - loss.first + 1}
    assert sorted([*numbers_in(folder), *range(loss.first, loss.last + 1)]) == list(range(1, 205))


def test_a_database_that_is_garbage_is_kept_and_another_begun(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2, 3)
    (folder / "journal.db").write_bytes(b"garbage " * 5000)
    with keeping(folder) as kept:
        assert kept.resumed == 3
        kept.put(4)
        wait_until(lambda: kept.losses)
        wait_until(lambda: len(kept.states) == 2)
    (aside,) = damaged_files(folder / "journal.db")
    assert aside.read_bytes() == b"garbage " * 5000
    assert kept.losses == [Loss(1, 3, f"journal.db was damaged and is kept as {aside.name}")]
    assert kept.states == [("degraded", kept.losses[0].reason), ("online", "")]
    assert numbers_in(folder) == [4]


def test_damage_that_a_reader_meets_counts_too_unless_it_is_of_an_older_file(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2)
        kept.wait_for(2)
        (folder / "garbage").write_bytes(b"garbage " * 5000)
        with closing(open_reader(folder / "garbage")) as reader, pytest.raises(sqlite3.DatabaseError) as fault:
            bounds(reader)
        kept.journal.report_fault(fault.value, kept.journal.opened - 1)
        kept.put(3)
        kept.wait_for(3)
        assert kept.states == []
        kept.journal.report_fault(fault.value, kept.journal.opened)
        wait_until(lambda: kept.states)
        kept.put(4)
        wait_until(lambda: kept.losses)
    assert [(loss.first, loss.last) for loss in kept.losses] == [(1, 3)]
    assert numbers_in(folder) == [4]


def test_what_a_reader_could_not_read_is_announced_once(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2)
        kept.wait_for(2)
        for _ in range(3):
            kept.journal.report_unreadable(1, 2)
        wait_until(lambda: kept.losses)
        kept.put(3)
        kept.wait_for(3)
    assert kept.losses == [Loss(1, 2, BAD_CHECKSUM)]


@pytest.mark.parametrize("missing", [("journal.db",), ("journal.db", "cursors.db")])
def test_without_the_database_numbers_go_on(folder: Path, missing: tuple[str, ...]) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2, 3)
        journal = kept.journal.id
    for name in missing:
        (folder / name).unlink(missing_ok=True)
    with keeping(folder) as kept:
        assert (kept.resumed, kept.journal.id) == (3, journal)
        kept.put(4)
        wait_until(lambda: kept.losses)
    assert kept.losses == [Loss(1, 3, "journal.db was missing")]


def test_without_the_numbers_they_leap_and_without_both_it_is_another_journal(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2, 3)
        journal = kept.journal.id
    (folder / "numbers").unlink()
    with keeping(folder) as kept:
        assert (kept.resumed, kept.journal.id) == (3 + LEASED, journal)
    (folder / "numbers").unlink()
    (folder / "journal.db").unlink()
    with keeping(folder) as kept:
        assert kept.resumed == 0
        assert kept.journal.id != journal


def test_a_database_that_is_moved_away_under_it_is_begun_anew(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1, 2)
        kept.wait_for(2)
        (folder / "journal.db").rename(folder / "elsewhere.db")
        wait_until(lambda: kept.states)
        kept.put(3)
        wait_until(lambda: kept.losses)
        wait_until(lambda: len(kept.states) == 2)
    assert [word for word, _ in kept.states] == ["degraded", "online"]
    assert kept.losses == [Loss(1, 2, "journal.db was missing")]
    assert numbers_in(folder) == [3]


def test_a_line_whose_numbers_are_known_starts_without_the_database(folder: Path) -> None:
    with keeping(folder) as kept:
        kept.put(1)
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with keeping(folder) as kept:
            assert kept.resumed == 1
            wait_until(lambda: kept.states)
            kept.put(2)
            other.execute("ROLLBACK")
            kept.wait_for(2)
            wait_until(lambda: len(kept.states) == 2)
    assert kept.states == [("degraded", "database is locked"), ("online", "")]
    assert kept.losses == []


def test_a_step_of_the_clock_deletes_nothing_and_age_does(folder: Path) -> None:
    clock = ManualClock(utc_ns=0)
    with keeping(folder, clock, max_age_days=1.0) as kept:
        for event in (1, 2, 3):
            kept.put(event, size=200_000)
            kept.wait_for(event)
        for years in (100, -200, 101):
            clock.step_utc(years * 365 * DAY_S)
            kept.put(event := event + 1, size=200_000)
            kept.wait_for(event)
        assert kept.journal.record.first == 1
        clock.sleep(3601)
        kept.put(7)
        kept.wait_for(7)
        assert kept.journal.record.first == 1
        clock.sleep(DAY_S)
        for event in (8, 9, 10):  # few go at a time
            kept.put(event)
            kept.wait_for(event)
        assert kept.journal.record.first > 7


def test_two_stations_on_one_folder_are_refused(folder: Path) -> None:
    with keeping(folder), pytest.raises(ConfigError, match=r"\[journal\] folder .*another station"), keeping(folder):
        pytest.fail("two have it")


def test_a_newer_journal_ends_the_start(folder: Path) -> None:
    with keeping(folder):
        pass
    change(folder / "journal.db", "PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match=r"journal\.db is of version 9, this station knows up to 1"), keeping(folder):
        pytest.fail("started all the same")


def test_a_new_journal_on_a_bad_disk_ends_the_start(folder: Path) -> None:
    (folder / "journal.db").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"\[journal\] folder .*: unable to open"), keeping(folder):
        pytest.fail("started all the same")
