import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from shadowline.errors import ConfigError, JournalError
from station.journal.batch import ROW_BYTES, Queued
from station.journal.database import open_reader
from station.journal.reader import read
from station.journal.store import Loss, Store
from tests.journals import change, line_numbers, queued

MANY = 2**62
MB = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(path, "j", 100 * MB)) as store:
        yield store


def append(store: Store, *messages: Queued, horizon_ns: int | None = None) -> None:
    store.append(messages, lambda first: f"why {first}", horizon_ns)


def kept(path: Path) -> list[int]:
    with closing(open_reader(path)) as reader:
        return line_numbers(read(reader, 0, MANY, MANY).parts)


def rows(path: Path) -> int:
    with closing(open_reader(path)) as reader:
        return int(reader.execute("SELECT count(*) FROM batch").fetchone()[0])


def test_what_was_appended_is_there_after_a_new_start(path: Path) -> None:
    with closing(Store(path, "j", 100 * MB)) as store:
        assert (store.first, store.last) == (1, 0)
        append(store, queued(1), queued(2))
        append(store, queued(3))
    with closing(Store(path, None, 100 * MB)) as store:
        assert (store.journal, store.first, store.last, store.losses) == ("j", 1, 3, ())
    assert kept(path) == [1, 2, 3]


def test_small_batches_end_in_full_rows(store: Store, path: Path) -> None:
    for event in range(1, 401):
        append(store, queued(event, 600))
    assert kept(path) == list(range(1, 401))
    full = ROW_BYTES // 750
    assert rows(path) < 400 / full + full


def test_missing_numbers_are_noted_until_they_are_announced(store: Store, path: Path) -> None:
    append(store, queued(3), queued(4), queued(8))
    assert store.losses == (Loss(1, 2, "why 1"), Loss(5, 7, "why 5"))
    append(store, queued(9, settles=1))
    assert store.losses == (Loss(5, 7, "why 5"),)
    with closing(Store(path, None, 100 * MB)) as again:
        assert again.losses == (Loss(5, 7, "why 5"),)
    assert kept(path) == [3, 4, 8, 9]


def test_what_is_there_already_is_not_written_twice(store: Store, path: Path) -> None:
    append(store, queued(1), queued(2))
    append(store, queued(2), queued(3))
    assert kept(path) == [1, 2, 3]


def test_a_commit_that_fails_leaves_everything_as_it_was(store: Store, path: Path) -> None:
    append(store, queued(1))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            append(store, queued(3))
        other.rollback()
    assert (store.last, store.losses) == (1, ())
    append(store, queued(2))
    assert kept(path) == [1, 2]


def test_the_oldest_give_way_to_the_limit_and_the_file_stops_growing(path: Path) -> None:
    sizes = []
    with closing(Store(path, "j", 4 * MB)) as store:
        for start in range(1, 20_000, 500):
            append(store, *(queued(event, 600) for event in range(start, start + 500)))
            sizes.append(path.stat().st_size + Path(f"{path}-wal").stat().st_size)
        assert store.used_bytes <= 4 * MB
        assert store.first > 10_000
        assert kept(path) == list(range(store.first, 20_001))
    assert max(sizes) < 15 * MB


def test_a_smaller_limit_is_reached_in_small_steps(path: Path) -> None:
    with closing(Store(path, "j", 100 * MB)) as store:
        append(store, *(queued(event, 600) for event in range(1, 20_001)))
    with closing(Store(path, "j", 2 * MB)) as store:
        first = [store.first]
        for event in range(20_001, 20_100):
            append(store, queued(event))
            first.append(store.first)
        assert store.used_bytes <= 2 * MB
    assert max(after - before for before, after in pairwise(first)) < 1000


def test_by_age_the_oldest_go_and_the_newest_stays(store: Store, path: Path) -> None:
    for event in range(1, 11):
        append(store, queued(event, ROW_BYTES))
    append(store, queued(11), horizon_ns=4_000_000_000)
    assert kept(path) == list(range(4, 12))
    for event in range(12, 16):
        append(store, queued(event), horizon_ns=2**62)
    assert kept(path) == [15]


def test_a_batch_that_was_damaged_at_the_end_is_noted(path: Path) -> None:
    with closing(Store(path, "j", 100 * MB)) as store:
        append(store, queued(1), queued(2))
        append(store, queued(3))
    change(path, "UPDATE batch SET lines = ? WHERE first = 1", b"nonsense")
    with closing(Store(path, "j", 100 * MB)) as store:
        (loss,) = store.losses
        assert (loss.first, loss.last) == (1, 2)
        append(store, queued(4))
    assert kept(path) == [3, 4]


def test_the_database_of_another_journal_is_refused(store: Store, path: Path) -> None:
    with pytest.raises(ConfigError, match="are of two journals"):
        Store(path, "another", MB)


def test_a_database_that_was_exchanged_under_it_is_noticed(store: Store, path: Path) -> None:
    store.check()
    path.rename(path.with_name("old.db"))
    with pytest.raises(OSError, match="No such file"):
        store.check()
    path.touch()
    with pytest.raises(JournalError, match="another file now"):
        store.check()


def test_a_log_that_another_program_keeps_from_being_emptied_is_bounded(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("station.journal.store._MAX_LOG_BYTES", 4 * MB)
    append(store, queued(1))
    with closing(open_reader(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM batch").fetchone()
        for event in range(2, 60):
            append(store, queued(event, ROW_BYTES))
        with pytest.raises(JournalError, match="holds the journal open"):
            store.check()
    store.check()
    assert Path(f"{path}-wal").stat().st_size < 4 * MB
