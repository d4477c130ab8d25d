"""What tests of the journal share: messages for it, how to run it, and how to damage it."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from station.clock import Clock, HostClock
from station.config import JournalConfig
from station.event import Origin, ServiceState, StateEvent, encode
from station.journal.batch import Queued
from station.journal.store import Loss
from station.journal.writer import Journal
from station.worker import Worker

__all__ = ["ORIGIN", "Kept", "change", "keeping", "line_numbers", "queued", "state", "wait_until"]

ORIGIN = Origin("line", "run", "", "")


def state(event: int, detail: str = "") -> StateEvent:
    """Return a small message."""
    return StateEvent(event, ORIGIN, "top", "online", detail, 0, 0)


def queued(event: int, size: int = 0, settles: int | None = None) -> Queued:
    """Return a message for the disk of about `size` bytes, published `event` seconds after 1970."""
    return Queued(event, event * 1_000_000_000, encode(state(event, "x" * size)), settles)


def line_numbers(parts: Iterable[bytes]) -> list[int]:
    """Return the numbers of the messages in `parts`."""
    lines = [line for part in parts for line in part.split(b"\n")]
    return [int(line.split(b'"event":')[1].split(b",")[0]) for line in lines]


def change(path: Path, statement: str, *values: object) -> None:
    """Change the database at `path` behind the journal's back."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, for 20 s at most."""
    end_s, pause = monotonic() + 20, Event()
    while not condition():
        assert monotonic() < end_s, "it did not come true"
        pause.wait(0.005)


@dataclass
class Kept:
    """A running journal, and what it told."""

    journal: Journal
    resumed: int = -1
    """The number behind which it goes on."""
    mark: Callable[[int], None] = print
    """Notes that a number is given."""
    states: list[tuple[ServiceState, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def put(self, *events: int, size: int = 0) -> None:
        """Put messages as the publish thread does."""
        for event in events:
            message = state(event, "x" * size)
            message.published_ns = event * 1_000_000_000
            self.mark(event)
            self.journal.put(message, encode(message))

    def wait_for(self, last: int) -> None:
        """Wait until message `last` is on the disk."""
        wait_until(lambda: self.journal.record.last >= last)


@contextmanager
def keeping(folder: Path, clock: Clock | None = None, **settings: Any) -> Iterator[Kept]:
    """Run a journal in its thread."""
    config = JournalConfig(folder=folder, **({"commit_ms": 1} | settings))

    def resume(last: int, mark: Callable[[int], None]) -> None:
        kept.resumed, kept.mark = last, mark

    journal = Journal(
        folder,
        config,
        clock or HostClock(),
        resume,
        lambda state, detail: kept.states.append((state, detail)),
        lambda loss: kept.losses.append(loss),
    )
    kept = Kept(journal)
    with Worker("journal", journal.run, journal.stop) as worker:
        yield kept
    if worker.failure is not None:
        raise worker.failure
