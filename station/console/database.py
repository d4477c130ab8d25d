"""The console's one SQLite file: tables of each part, short reads, and writes whole and on disk. Any thread."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Self

from shadowline.errors import ConfigError

__all__ = ["Database"]

_WAIT_S = 10.0


class Database:
    """A file of tables for the length of a `with` block; other processes may use the same file meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = Lock()

    def __enter__(self) -> Self:
        """Open the file, or make it for its owner alone. Raises `ConfigError` where that can't be done."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._path.chmod(0o600)
            self._keeper = self._connect()
            self._keeper.execute("PRAGMA journal_mode = WAL")
            # with the log of writes in use here, no other connection is the last one, which would clear it up
            self._keeper.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except (OSError, sqlite3.Error) as fault:
            raise ConfigError(f"{self._path}: {fault}: move it away, or put it back from a copy") from None
        return self

    def __exit__(self, *failure: object) -> None:
        self._keeper.close()

    def prepare(self, part: str, statements: Sequence[str]) -> None:
        """Make the tables of `part`, whose names begin with `part_`, by statements that may run again."""
        with self.write() as db:
            for statement in statements:
                if f" {part}_" not in statement:
                    raise ValueError(f"{statement}: names of the part {part} begin with {part}_")
                db.execute(statement)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees one state of the file throughout; never waits for a write."""
        db = self._connect()
        try:
            db.execute("PRAGMA query_only = ON")
            db.execute("BEGIN")
            yield db
        finally:
            db.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose changes are one transaction: all on disk at the end, or none after an error."""
        with self._writing:
            db = self._connect()
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                db.close()  # which takes back what was not committed

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error:  # no database, say
            db.close()
            raise
        return db
