"""Opening SQLite files that must survive a power cut, and what their faults mean. For the threads that own them."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from shadowline.errors import ConfigError, JournalError

__all__ = ["damaged_files", "is_damage", "open_database", "open_reader", "put_aside", "transaction"]

logger = logging.getLogger(__name__)

_BUSY_S = 1.0
_MAX_DAMAGED = 8
_SETTINGS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "journal_size_limit = 4194304",
    "trusted_schema = OFF",
    "cell_size_check = ON",
)
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_database(path: Path, schema: str, application: int, version: int) -> sqlite3.Connection:
    """Open the database at `path` for writing, or make it with `schema`; each commit is on the disk when it returns.

    Raises `ConfigError` when it is of a newer version, or another program's; `sqlite3.Error` for what the disk says.
    """
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
        with transaction(connection):
            _make_or_check(connection, path, schema, application, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_or_check(connection: sqlite3.Connection, path: Path, schema: str, application: int, version: int) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        for statement in schema.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {application}")
        connection.execute(f"PRAGMA user_version = {version}")
        return
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (of_version,) = connection.execute("PRAGMA user_version").fetchone()
    if found != application:
        raise ConfigError(f"{path} was made by another program: move it away")
    if of_version > version:
        raise ConfigError(
            f"{path} is of version {of_version}, this station knows up to {version}: "
            "install the newer Shadowline again, or name another folder"
        )


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the database at `path` for reading alone. Raises `sqlite3.Error`."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=_BUSY_S, isolation_level=None, uri=True)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do the block wholly or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_damage(fault: Exception) -> bool:
    """Whether `fault` says that the file's contents make no sense."""
    return isinstance(fault, sqlite3.Error) and getattr(fault, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def damaged_files(path: Path) -> list[Path]:
    """Return what `put_aside` made of the database at `path`, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}-damaged-*{path.suffix}"))


def put_aside(path: Path, utc_ns: int) -> Path:
    """Rename the closed database at `path` with its log, for somebody to look at, and return its new path.

    Raises `JournalError` when so many are there already that the disk itself must be at fault; `OSError`.
    """
    if len(damaged_files(path)) >= _MAX_DAMAGED:
        raise JournalError(f"{_MAX_DAMAGED} damaged files are in {path.parent}: check the disk, then move them away")
    stamp = datetime.fromtimestamp(utc_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.stem}-damaged-{stamp}{path.suffix}")
    for log in ("-wal", "-shm"):
        if (beside := Path(f"{path}{log}")).exists():
            beside.rename(f"{aside}{log}")
    path.rename(aside)
    logger.error("%s is damaged: kept as %s", path, aside.name)
    return aside
