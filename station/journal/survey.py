"""What is in a journal's folder, read beside a running station or without one. For commands: main thread."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from shadowline.errors import JournalError
from station.journal.cursors import CURSORS, Consumer, Cursors, consumers
from station.journal.database import damaged_files, open_reader
from station.journal.reader import bounds, every_batch, used_bytes
from station.journal.writer import DATABASE

__all__ = ["Checked", "Survey", "forget", "survey", "verify"]


@dataclass(frozen=True, slots=True)
class Survey:
    """A journal's size, reach and readers."""

    journal: str
    first: int
    last: int
    used_bytes: int
    """Of the database, what holds something."""
    file_bytes: int
    """The database on disk with its log."""
    consumers: list[Consumer]
    damaged: list[str]
    """Names of databases that were put aside."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One batch that was read."""

    first: int
    last: int
    size_bytes: int
    whole: bool
    """Its checksum is right."""


def survey(folder: Path) -> Survey:
    """Return what the journal in `folder` holds. Raises `JournalError`."""
    path = folder / DATABASE
    with _reading(path) as connection:
        (journal,) = connection.execute("SELECT id FROM journal").fetchone()
        first, last = bounds(connection)
        files = [file for log in ("", "-wal") if (file := Path(f"{path}{log}")).exists()]
        return Survey(
            journal,
            first,
            last,
            used_bytes(connection),
            sum(file.stat().st_size for file in files),
            _consumers(folder / CURSORS, journal),
            [file.name for place in (path, folder / CURSORS) for file in damaged_files(place)],
        )


def _consumers(path: Path, journal: str) -> list[Consumer]:
    if not path.exists():
        return []
    with _reading(path) as connection:
        return consumers(connection, journal)


def forget(folder: Path, consumer: str) -> None:
    """Remove `consumer`, so that it begins anew. Raises `JournalError` where there is none of that name."""
    found = survey(folder)
    if consumer not in [one.name for one in found.consumers]:
        raise JournalError(f"no consumer {consumer} in {folder}: station journal info lists them")
    try:
        with closing(Cursors(folder / CURSORS, found.journal)) as cursors:
            cursors.forget(consumer)
    except sqlite3.Error as fault:
        raise JournalError(f"{folder / CURSORS}: {fault}") from None


def verify(folder: Path) -> Iterator[Checked]:
    """Read every batch of the journal in `folder`. Raises `JournalError` where the file makes no sense."""
    with _reading(folder / DATABASE) as connection:
        for batch, crc in every_batch(connection):
            yield Checked(batch.first, batch.last, len(batch.lines), batch.crc == crc)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise JournalError(f"{path}: no such file: a station that runs with [journal] folder makes it")
    try:
        with closing(open_reader(path)) as connection:
            yield connection
    except sqlite3.Error as fault:
        raise JournalError(f"{path}: {fault}") from None
