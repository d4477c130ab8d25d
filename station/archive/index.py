"""An SQLite index over the evidence, for listing and for what goes first; it can always be made anew from the files.

Lives in the archive process, or in a command. Nothing is ever deleted because of what is *not* in the index.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from shadowline.errors import StationError
from station.archive.shelf import Entry

__all__ = ["Filter", "Index", "is_damage", "open_index", "read_index"]

_FILE = "index.db"
_VERSION: Final = 2
_NAMES = tuple(field.name for field in fields(Entry))
_COLUMNS = ", ".join(_NAMES)
_SCHEMA = f"""
CREATE TABLE evidence (
    minute TEXT, name TEXT, kept_ns INTEGER, captured_ns INTEGER, event INTEGER, camera TEXT, verdict TEXT, coil TEXT,
    counts_as TEXT, labels TEXT, pictures INTEGER, size INTEGER, part TEXT, job TEXT, PRIMARY KEY (minute, name)
) WITHOUT ROWID;
CREATE INDEX by_class ON evidence (counts_as, kept_ns);
CREATE INDEX by_age ON evidence (kept_ns);
CREATE INDEX by_event ON evidence (event);
CREATE TABLE clock (ns INTEGER);
INSERT INTO clock VALUES (0);
PRAGMA user_version = {_VERSION};
"""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_SEPARATOR = "\x1f"
"""Between labels, and around them all: no label has it, and it finds whole labels only."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which evidence is meant: everything that is not None must fit. `day` is as in the folders, 2026-11-21."""

    label: str | None = None
    camera: str | None = None
    coil: str | None = None
    since: str | None = None
    until: str | None = None
    """First and last day."""
    verdict: str | None = None
    first: int | None = None
    last: int | None = None
    """First and last event."""
    part: str | None = None
    job: str | None = None


class Index:
    """One connection, used by one thread. Methods raise `sqlite3.Error`; see `is_damage`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, entry: Entry) -> None:
        """Enter `entry`, in the place of one of the same name."""
        labels = _SEPARATOR.join(("", *entry.labels, "")) if entry.labels else ""
        values = {name: getattr(entry, name) for name in _NAMES} | {"labels": labels}
        places = ", ".join(f":{name}" for name in _NAMES)
        self._connection.execute(f"INSERT OR REPLACE INTO evidence ({_COLUMNS}) VALUES ({places})", values)

    def remove(self, minute: str, name: str) -> None:
        """Forget the evidence of this name."""
        self._connection.execute("DELETE FROM evidence WHERE minute = ? AND name = ?", (minute, name))

    def minutes(self) -> set[str]:
        """Return the folders of which it knows evidence."""
        return {row[0] for row in self._connection.execute("SELECT DISTINCT minute FROM evidence")}

    def names(self, minute: str) -> set[str]:
        """Return the names of the evidence that it knows in that folder."""
        return {row[0] for row in self._connection.execute("SELECT name FROM evidence WHERE minute = ?", (minute,))}

    def sizes(self) -> dict[str, int]:
        """Return the bytes taken by each label."""
        return dict(self._connection.execute("SELECT counts_as, sum(size) FROM evidence GROUP BY counts_as"))

    def oldest(self, counts_as: str | None = None) -> Entry | None:
        """Return what was kept longest, of that label where one is named; None without any."""
        where, values = ("WHERE counts_as = ?", [counts_as]) if counts_as is not None else ("", [])
        query = f"SELECT {_COLUMNS} FROM evidence {where} ORDER BY kept_ns LIMIT 1"
        return next((_entry(row) for row in self._connection.execute(query, values)), None)

    def find(self, wanted: Filter, limit: int = -1) -> Iterator[Entry]:
        """Yield what fits, the newest first; all without a limit."""
        tests: dict[str, Any] = {
            "instr(labels, ?) > 0": wanted.label and f"{_SEPARATOR}{wanted.label}{_SEPARATOR}",
            "camera = ?": wanted.camera,
            "coil = ?": wanted.coil,
            "minute >= ?": wanted.since,
            "minute < ?": wanted.until and f"{wanted.until}0",  # in order just behind "/", so after all of that day
            "verdict = ?": wanted.verdict,
            "event >= ?": wanted.first,
            "event <= ?": wanted.last,
            "part = ?": wanted.part,
            "job = ?": wanted.job,
        }
        used = {test: value for test, value in tests.items() if value is not None}
        where = f"WHERE {' AND '.join(used)}" if used else ""
        query = f"SELECT {_COLUMNS} FROM evidence {where} ORDER BY captured_ns DESC LIMIT ?"
        yield from map(_entry, self._connection.execute(query, [*used.values(), limit]))

    def count(self) -> int:
        """Return how many pieces of evidence it knows."""
        return int(self._connection.execute("SELECT count(*) FROM evidence").fetchone()[0])

    def clock_ns(self) -> int:
        """Return what the archive's clock showed when it was noted last, 0 in a new index."""
        return int(self._connection.execute("SELECT ns FROM clock").fetchone()[0])

    def newest_ns(self) -> int:
        """Return when the newest evidence was kept, 0 without any."""
        return int(self._connection.execute("SELECT coalesce(max(kept_ns), 0) FROM evidence").fetchone()[0])

    def note_clock(self, ns: int) -> None:
        """Note what the archive's clock shows."""
        self._connection.execute("UPDATE clock SET ns = ?", (ns,))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file is no good, and not that the disk is full or fails."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
    )


@contextmanager
def open_index(folder: Path, anew: bool = False) -> Iterator[Index]:
    """Open the index of `folder` to write, or begin an empty one, with `anew` or when there is none that can be used.

    Raises `sqlite3.Error` where it can't be written.
    """
    if anew or not _is_good(folder / _FILE):
        for path in (folder / _FILE, folder / f"{_FILE}-wal", folder / f"{_FILE}-shm"):
            path.unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / _FILE, isolation_level=None, timeout=5.0)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.executescript(_SCHEMA)
        yield Index(connection)


@contextmanager
def read_index(folder: Path) -> Iterator[Index]:
    """Open the index of `folder` to read, while a station may write. Raises `StationError` where there is none."""
    mend = f"station archive index --folder {folder} makes it from the files"
    try:
        with closing(sqlite3.connect(f"file:{folder / _FILE}?mode=ro", uri=True, timeout=5.0)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                raise StationError(f"{folder / _FILE}: of another version of the station; {mend}")
            yield Index(connection)
    except sqlite3.Error as error:
        raise StationError(f"{folder / _FILE}: can't be read: {error}; {mend}") from None


def _is_good(path: Path) -> bool:
    """Whether there is an index of this version; nothing but its header is read, however large it is."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("PRAGMA user_version").fetchone()[0] == _VERSION)
    except sqlite3.Error as error:
        if is_damage(error):
            return False
        raise


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(_NAMES, row, strict=True))
    labels = values["labels"].strip(_SEPARATOR)
    return Entry(**values | {"labels": tuple(labels.split(_SEPARATOR)) if labels else ()})
