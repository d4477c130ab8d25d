"""The journal's database: batches of messages, written in few large rows, bounded by size and age. Journal thread."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shadowline.errors import ConfigError, JournalError
from station.journal.batch import ROW_BYTES, Batch, Queued, cut, merge
from station.journal.database import open_database, transaction
from station.journal.reader import BAD_CHECKSUM, bounds, newest_batches, used_bytes

__all__ = ["APPLICATION", "VERSION", "Loss", "Store"]

APPLICATION = 0x53484C4A
VERSION = 1
_SCHEMA = """
CREATE TABLE journal (id TEXT NOT NULL);
CREATE TABLE batch (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    published_ns INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    lines BLOB NOT NULL
);
CREATE TABLE loss (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, reason TEXT NOT NULL)
"""
_CHECKED_BATCHES = 32
_MAX_LOG_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Loss:
    """Numbers that the journal lacks, which is still to be announced."""

    first: int
    last: int
    reason: str


class Store:
    """An open journal database, of which nobody else is the writer."""

    def __init__(self, path: Path, journal: str | None, max_bytes: int) -> None:
        """Open the database at `path`, or make it. `journal` is the id that it must have; None takes what is there.

        Raises `ConfigError`, and `sqlite3.Error` for what the disk says.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._connection = open_database(path, _SCHEMA, APPLICATION, VERSION)
        try:
            with transaction(self._connection):
                self.journal = self._claim(journal)
                self._check_newest()
            self.first, self.last = bounds(self._connection)
            self.losses = self._pending()
            self._tail: list[Batch] = []
            self._inode = path.stat().st_ino
        except BaseException:
            self._connection.close()
            raise

    def append(
        self, messages: Sequence[Queued], why_missing: Callable[[int], str], horizon_ns: int | None = None
    ) -> None:
        """Put those of `messages`, in order of their numbers, that are not there yet, and let the oldest give way.

        Numbers that are missing before or among them become one of `losses`, with the reason that `why_missing` gives
        for the first. Batches published before `horizon_ns` go. Raises `sqlite3.Error`: then nothing was done.
        """
        tail, last = self._tail.copy(), self.last
        batches = list(cut([message for message in messages if message.event > last]))
        with transaction(self._connection):
            for batch in batches:
                if batch.first > last + 1:
                    self._note(Loss(last + 1, batch.first - 1, why_missing(last + 1)))
                    tail.clear()
                self._put(batch, tail)
                last = batch.last
            self._settle(message.settles for message in messages if message.settles is not None)
            self._retain(horizon_ns, 2 * len(batches) + 2)
        self._tail, self.last = tail, last
        self.first, _ = bounds(self._connection)
        self.losses = self._pending()

    def note(self, losses: Sequence[Loss]) -> None:
        """Add to `losses` what was found missing otherwise. Raises `sqlite3.Error`."""
        with transaction(self._connection):
            for loss in losses:
                self._note(loss)
        self.losses = self._pending()

    def check(self) -> None:
        """Make sure that what is written can be found again and that the log stays small. About once a second.

        Raises `JournalError` and `OSError`.
        """
        if self._path.stat().st_ino != self._inode:
            raise JournalError(f"{self._path} is another file now")
        log_bytes = Path(f"{self._path}-wal").stat().st_size
        if log_bytes > _MAX_LOG_BYTES:
            (held, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if held:
                raise JournalError(f"{self._path}-wal has {log_bytes >> 20} MB: another program holds the journal open")

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        return used_bytes(self._connection)

    def close(self) -> None:
        """Close the file; its log goes into it."""
        self._connection.close()

    def _claim(self, journal: str | None) -> str:
        found = self._connection.execute("SELECT id FROM journal").fetchone()
        if found is None:
            found = (journal or uuid.uuid4().hex,)
            self._connection.execute("INSERT INTO journal VALUES (?)", found)
        if journal not in (None, found[0]):
            raise ConfigError(
                f"{self._path} and the file numbers beside it are of two journals: "
                "bring back the one that is missing, or move both away"
            )
        return str(found[0])

    def _check_newest(self) -> None:
        """Note which of the newest batches, those that a power cut can have reached, are damaged."""
        for batch, crc in newest_batches(self._connection, _CHECKED_BATCHES):
            if batch.crc != crc:
                self._note(Loss(batch.first, batch.last, BAD_CHECKSUM))

    def _pending(self) -> tuple[Loss, ...]:
        rows = self._connection.execute("SELECT first, last, reason FROM loss ORDER BY first")
        return tuple(Loss(*row) for row in rows)

    def _note(self, loss: Loss) -> None:
        values = (loss.first, loss.last, loss.reason)
        self._connection.execute("INSERT OR REPLACE INTO loss VALUES (?, ?, ?)", values)

    def _settle(self, firsts: Iterable[int]) -> None:
        self._connection.executemany("DELETE FROM loss WHERE first = ?", [(first,) for first in firsts])

    def _put(self, batch: Batch, tail: list[Batch]) -> None:
        """Insert `batch`, or a full row in the place of it and of `tail`, the small rows before it."""
        tail.append(batch)
        if sum(len(one.lines) for one in tail) < ROW_BYTES:
            self._insert(batch)
            return
        if len(tail) > 1:
            self._connection.execute("DELETE FROM batch WHERE first >= ?", (tail[0].first,))
        self._insert(merge(tail))
        tail.clear()

    def _insert(self, batch: Batch) -> None:
        values = (batch.first, batch.last, batch.published_ns, batch.crc, batch.lines)
        self._connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", values)

    def _retain(self, horizon_ns: int | None, at_most: int) -> None:
        """Delete the oldest batches that are too much or too old, few at a time; the newest stays."""
        for _ in range(at_most):
            oldest = self._connection.execute("SELECT first, published_ns FROM batch ORDER BY first LIMIT 2").fetchall()
            too_old = horizon_ns is not None and oldest[0][1] < horizon_ns
            if len(oldest) < 2 or not (too_old or self.used_bytes > self._max_bytes):
                return
            self._connection.execute("DELETE FROM batch WHERE first = ?", oldest[0][:1])
