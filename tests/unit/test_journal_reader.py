import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from station.journal.database import open_reader
from station.journal.reader import bounds, every_batch, newest_batches, read
from station.journal.store import Store
from tests.journals import change, line_numbers, queued

MANY = 2**62
KEPT = [*range(5, 30), *range(40, 41), *range(50, 90)]


def make(path: Path) -> None:
    with closing(Store(path, "j", 10**9)) as store:
        for start in range(0, len(KEPT), 7):
            store.append([queued(event) for event in KEPT[start : start + 7]], lambda first: "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "journal.db")
    return tmp_path / "journal.db"


@pytest.fixture
def reader(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_reader(path)) as reader:
        yield reader


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(some.integers(0, 120), some.integers(0, 120) | some.just(MANY), some.integers(1, 5000))
def test_pages_give_what_is_kept_of_a_range_and_nothing_else(
    reader: sqlite3.Connection, start: int, end: int, max_bytes: int
) -> None:
    given_out: list[int] = []
    at = start
    while True:
        found = read(reader, at, end, max_bytes)
        given_out += line_numbers(found.parts)
        if not found.parts:
            break
        assert found.following > at
        at = found.following
    assert given_out == [event for event in KEPT if start <= event <= end]
    assert found.following == max(at, min(end, 89) + 1)
    assert (found.first, found.last) == (5, 89)


def test_a_page_ends_with_the_batch_that_fills_it(reader: sqlite3.Connection) -> None:
    found = read(reader, 0, MANY, 1)
    assert line_numbers(found.parts) == [5, 6, 7, 8, 9, 10, 11]
    assert found.following == 12


def test_what_is_damaged_is_left_out_and_named(path: Path, reader: sqlite3.Connection) -> None:
    change(path, "UPDATE batch SET lines = ? WHERE first = 12", b"nonsense")
    found = read(reader, 0, 18, MANY)
    assert line_numbers(found.parts) == [5, 6, 7, 8, 9, 10, 11]
    assert (found.damaged, found.following) == ([(12, 18)], 19)


@pytest.mark.parametrize(
    "values",
    [
        "lines = 5",
        "lines = CAST(x'ff00fe' AS TEXT)",
        "crc = 'x'",
        "last = 'x'",
        "last = -1",
        "last = 1e18",
    ],
)
def test_whatever_a_damaged_row_holds_is_no_crash(path: Path, reader: sqlite3.Connection, values: str) -> None:
    change(path, f"UPDATE batch SET {values} WHERE first = (SELECT max(first) FROM batch)")
    found = read(reader, 0, MANY, MANY)
    assert found.damaged
    assert line_numbers(found.parts) == [event for event in KEPT if event < found.damaged[0][0]]
    assert found.last < 1000


def test_an_empty_journal_has_bounds_too(tmp_path: Path) -> None:
    Store(tmp_path / "empty.db", "j", 10**9).close()
    with closing(open_reader(tmp_path / "empty.db")) as reader:
        assert bounds(reader) == (1, 0)
        found = read(reader, 7, MANY, MANY)
    assert (found.parts, found.first, found.last, found.following) == ([], 1, 0, 7)


def test_every_batch_comes_once_and_in_order(reader: sqlite3.Connection) -> None:
    batches = [batch for batch, crc in every_batch(reader) if batch.crc == crc]
    assert line_numbers(batch.lines for batch in batches) == KEPT
    assert [batch for batch, _ in newest_batches(reader, 3)] == batches[:-4:-1]
