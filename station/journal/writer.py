"""The journal as a sink: what waits in memory is put on the disk together, again and again, by the journal thread.

Whatever the disk does, the line goes on: messages wait, then give way, and what is missing in the end is announced.
"""

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from shadowline.errors import ConfigError, StationError
from station.clock import Clock
from station.config import JournalConfig
from station.event import Heartbeat, JournalRecord, LossEvent, Message, ServiceState, topic
from station.folder_lock import lock_folder
from station.journal.batch import Queued
from station.journal.database import is_damage, put_aside
from station.journal.mark import marks_folder
from station.journal.numbers import LEASED, Numbers
from station.journal.reader import BAD_CHECKSUM
from station.journal.store import Loss, Store
from station.journal.waiting import Waiting

__all__ = ["DATABASE", "Journal"]

logger = logging.getLogger(__name__)

DATABASE = "journal.db"
_ENDED = "the station ended before they were on the disk"
_FULL = "too much waited for the disk"
_COMMIT_BYTES = 4 << 20
_CHECK_S = 1.0
_RETRY_S = 1.0
_SETTLED_S = 3600.0
"""So long after the start nothing goes by age: a clock that was wrong at the start has been set by then."""
_FAULTS = (sqlite3.Error, OSError, StationError)


class Journal:
    """Runs in a `Worker`; a sink of the publish thread."""

    name = "journal"

    def __init__(
        self,
        folder: Path,
        config: JournalConfig,
        clock: Clock,
        resume: Callable[[int, Callable[[int], None]], None],
        tell: Callable[[ServiceState, str], None],
        announce: Callable[[Loss], None],
    ) -> None:
        """`resume` is told the last number given and what to call with each new one, before the journal is ready.

        Then `tell` sends its new states, and `announce` what it lacks. All three are called by the journal thread.
        """
        self.dropped: dict[str, int] = {}
        self.path = folder / DATABASE
        self.id = ""
        self.used_bytes = 0
        """Of the database, as of a second ago."""
        self.opened = 0
        """Counts the databases that were opened."""
        self.latest: dict[str, bytes] = {}
        """The newest message of each topic."""
        self._folder = folder
        self._config = config
        self._clock = clock
        self._resume = resume
        self._tell = tell
        self._announce = announce
        self._waiting = Waiting(config.queue_mb << 20)
        self._stopping = threading.Event()
        self._numbers: Numbers
        self._store: Store | None = None
        self._first, self._last = 1, 0
        self._state: ServiceState = "online"
        self._detail = ""
        self._told: ServiceState = "online"
        self._why_missing: dict[int, str] = {}
        self._announced: set[int] = set()
        self._unreadable: dict[int, Loss] = {}
        self._reader_fault: sqlite3.Error | None = None
        self._begun_ns = (0, 0)
        self._check_due_ns = 0

    def put(self, message: Message, payload: bytes) -> None:
        """Keep `message` for the disk. Publish thread."""
        self.latest[topic(message)] = payload
        if not isinstance(message, Heartbeat):
            settles = message.first if isinstance(message, LossEvent) else None
            queued = Queued(message.event, message.published_ns, payload, settles)
            if not self._waiting.put(queued, self._detail):
                self.dropped[_FULL] = self.dropped.get(_FULL, 0) + 1

    def close(self) -> None:
        """Nothing is held by the publish thread."""

    @property
    def record(self) -> JournalRecord:
        """How it is at the moment. Any thread."""
        return JournalRecord(self.id, self._first, self._last, len(self._waiting), self._state, self._detail)

    def report_unreadable(self, first: int, last: int) -> None:
        """Have announced that the checksum of these messages is wrong. Replay thread."""
        self._unreadable.setdefault(first, Loss(first, last, BAD_CHECKSUM))

    def report_fault(self, fault: sqlite3.Error, opened: int) -> None:
        """Have the database put aside when `fault`, met while `opened` was so many, shows damage. Replay thread."""
        if is_damage(fault) and opened == self.opened:
            self._reader_fault = fault

    def stop(self) -> None:
        """Let the thread end when what waits is on the disk, or can't be brought there. Any thread."""
        self._stopping.set()
        self._waiting.filled.set()

    def run(self, ready: Callable[[], None]) -> None:
        """Write until stopped. Raises `ConfigError` when the folder can't be used; later faults change the state."""
        with ExitStack() as opened:
            opened.enter_context(lock_folder(self._folder, "[journal] folder"))
            opened.callback(self._close_store)
            self._begin(opened)
            ready()
            while not self._stopping.is_set():
                self._report()
                self._waiting.filled.wait(_CHECK_S)
                self._stopping.wait(self._config.commit_ms / 1e3 if self._state == "online" else _RETRY_S)
                self._write()
            self._write()
            if left := len(self._waiting):
                logger.warning("%d messages could not be brought to the disk: %s", left, self._detail)

    def _begin(self, opened: ExitStack) -> None:
        """Find out where numbers go on, and let them."""
        self._begun_ns = self._clock.utc_ns(), self._clock.tick_ns()
        try:
            self._numbers = Numbers(self._folder, marks_folder())
        except OSError as fault:
            raise ConfigError(f"[journal] folder {self._folder}: numbers: {fault.strerror}") from None
        opened.callback(self._numbers.close)
        self._open_first()
        known, last = self._numbers.journal, max(self._numbers.last, self._last)
        if known is None and self._last:
            last += LEASED  # nobody knows how many were given that are not in the database
        self.id = known or (self._store.journal if self._store else uuid.uuid4().hex)
        try:
            self._numbers.begin(self.id, last)
        except OSError as fault:
            self._fall_back(fault)
        self._resume(last, self._numbers.mark.write)
        seconds = (self._clock.tick_ns() - self._begun_ns[1]) / 1e9
        logger.info("journal %s goes on behind %d; opened in %.3f s", self.id, last, seconds)

    def _open_first(self) -> None:
        """Open the database; a line whose journal is known by its numbers starts all the same when that fails."""
        try:
            self._open()
        except ConfigError:
            raise
        except _FAULTS as fault:
            if self._numbers.journal is None and not is_damage(fault):
                raise ConfigError(f"[journal] folder {self._folder}: {fault}") from None
            self._fall_back(fault)

    def _open(self) -> Store:
        known = self._numbers.journal
        self._store = store = Store(self.path, known, self._config.max_mb << 20)
        self.opened += 1
        self._first, self._last = store.first, store.last
        if not store.last:
            self._why_missing.setdefault(1, f"{DATABASE} was missing")
        elif self.opened == 1:
            self._why_missing[store.last + 1] = (
                _ENDED if self._numbers.exact else f"{_ENDED}, if they were given at all"
            )
        return store

    def _write(self) -> None:
        """Put on the disk all that waits; whatever fails is tried again later."""
        try:
            self._write_all(self._store or self._open())
            self._state, self._detail = "online", ""
        except _FAULTS as fault:
            self._fall_back(fault)

    def _write_all(self, store: Store) -> None:
        self._check(store)
        while messages := self._waiting.take(_COMMIT_BYTES):
            store.append(messages, self._reason, self._horizon_ns())
            self._waiting.finish()
            self._why_missing.clear()
            self._first, self._last = store.first, store.last

    def _reason(self, first: int) -> str:
        if (detail := self._waiting.why_missing(first)) is not None:
            return f"{_FULL}: {detail}"
        return self._why_missing.get(first, "the outbox was full")

    def _check(self, store: Store) -> None:
        """Once a second, see to what the writing of messages does not show."""
        fault, self._reader_fault = self._reader_fault, None
        if fault is not None:
            raise fault
        if self._clock.tick_ns() < self._check_due_ns:
            return
        self._check_due_ns = self._clock.tick_ns() + round(_CHECK_S * 1e9)
        store.check()
        self._numbers.renew()
        self.used_bytes = store.used_bytes
        unreadable = list(self._unreadable.values())
        store.note([loss for loss in unreadable if loss.first not in self._announced])

    def _horizon_ns(self) -> int | None:
        """Return before when messages are too old, by a clock that no step since the start has set forward."""
        utc_ns, tick_ns = self._begun_ns
        passed_ns = self._clock.tick_ns() - tick_ns
        if passed_ns < _SETTLED_S * 1e9:
            return None
        return min(self._clock.utc_ns(), utc_ns + passed_ns) - round(self._config.max_age_days * 86400e9)

    def _fall_back(self, fault: Exception) -> None:
        """Close the database, put it aside when it is damaged, and say why nothing is written."""
        self._close_store()
        self._state, self._detail = "degraded", str(fault)
        if is_damage(fault):
            try:
                aside = put_aside(self.path, self._clock.utc_ns())
            except _FAULTS as worse:
                self._detail = f"{DATABASE} is damaged: {worse}"
                return
            self._detail = self._why_missing[1] = f"{DATABASE} was damaged and is kept as {aside.name}"
            self._first, self._last = 1, 0

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = None

    def _report(self) -> None:
        """Tell and announce what is new; not at the end, when nobody hears it any more."""
        if self._state != self._told:
            self._told = self._state
            level = logging.INFO if self._state == "online" else logging.WARNING
            logger.log(level, "journal %s %s", self._state, self._detail)
            self._tell(self._state, self._detail)
        for loss in self._store.losses if self._store else ():
            if loss.first not in self._announced:
                self._announced.add(loss.first)
                logger.warning("the journal lacks %d to %d: %s", loss.first, loss.last, loss.reason)
                self._announce(loss)
