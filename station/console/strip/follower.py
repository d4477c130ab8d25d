"""Reads the journal on and on into the strip map's tables. A thread of the console's own.

What was read and how far are one transaction, so that nothing is lost and nothing comes twice, whatever ends meanwhile.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from threading import Event
from typing import Literal

from shadowline.errors import StationError
from station.client import Client, Item, Peer, Silence
from station.console.database import Database
from station.console.strip.intake import Intake
from station.console.strip.progress import Progress, load_progress
from station.console.strip.retention import find_old, remove

__all__ = ["Follower"]

logger = logging.getLogger(__name__)

_MOST_A_TURN = 2000
_TURN_S = 0.5
_LOOK_S = 0.1
_JOIN_S = 0.5
_AGAIN_S = 2.0
_TIDY_S = 60.0


class Follower:
    """Runs in a `Worker`."""

    def __init__(self, database: Database, live: Peer, journal: Peer) -> None:
        self.trouble = ""
        """Why nothing comes, in one line; empty while it does. Any thread."""
        self.caught_up = False
        """All that the journal is known to have is in the tables. Any thread."""
        self._database, self._live, self._journal = database, live, journal
        self._stopping = Event()
        self._tidy_s = 0.0

    def run(self, ready: Callable[[], None]) -> None:
        """Follow until stopped; a station or a disk that is away is waited for."""
        ready()
        while not self._stopping.is_set():
            try:
                with self._database.read() as db:
                    progress = load_progress(db)
                with self._open(progress) as client:
                    self._follow(client)
            except (StationError, sqlite3.Error) as fault:
                self._tell(str(fault))
                self._stopping.wait(_AGAIN_S if isinstance(fault, sqlite3.Error) else _JOIN_S)

    def stop(self) -> None:
        """Let the thread end. Any thread."""
        self._stopping.set()

    def _open(self, progress: Progress) -> Client:
        start: int | Literal["first"] = progress.last + 1 if progress.journal else "first"
        return Client(self._live, self._journal, start=start, journal=progress.journal, timeout_s=_JOIN_S)

    def _follow(self, client: Client) -> None:
        while not self._stopping.is_set():
            items = self._gather(client)
            if items:
                with self._database.write() as db:
                    intake = Intake(db)
                    for item, journal in items:
                        intake.take(item, journal)
                    intake.save()
            self.caught_up = client.caught_up
            self._tell("nothing is heard of the station" if client.silent else "")
            self._tidy()

    def _gather(self, client: Client) -> list[tuple[Item, str]]:
        """Return what came within a turn, each with the journal that it counts in."""
        items: list[tuple[Item, str]] = []
        until_s = time.monotonic() + _TURN_S
        while len(items) < _MOST_A_TURN and time.monotonic() < until_s and not self._stopping.is_set():
            item = client.receive(_LOOK_S)
            if item is not None and not isinstance(item, Silence):
                items.append((item, client.journal))
        return items

    def _tidy(self) -> None:
        """Let go of the oldest now and then, one coil a transaction: others write here too."""
        if time.monotonic() < self._tidy_s:
            return
        with self._database.read() as db:
            old = find_old(db, time.time_ns())
        for coil in old[:1]:
            with self._database.write() as db:
                remove(db, coil)
        self._tidy_s = time.monotonic() + (_TURN_S if len(old) > 1 else _TIDY_S)

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            logger.info("strip map: %s", trouble or "the journal is read")
