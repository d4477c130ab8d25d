"""The process that keeps evidence: does what its station asks, and tends what is held in between. Its main thread.

    python -m station.archive.serve SOCKET MEMORY SETTINGS

The station starts it and hands down both descriptors. It ends when the station closes the socket or dies, and by no
signal of those that end the station: what the station still hands over, it still keeps.
"""

import logging
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import cv2
import msgspec

from station.archive.guard import DiskGuard, Room
from station.archive.handover import MOST_BYTES, Report, Settings, decode_piece, encode
from station.archive.holdings import Holdings
from station.archive.keeper import Keeper
from station.archive.live import LiveFolder
from station.clock import HostClock
from station.event import ServiceState

__all__ = ["Service"]

_FIRST_WHEN_MEMORY_ENDS = "500"
_STEPS = 4
"""Pieces that may go for each one that comes, so that small ones can make room for large ones."""


class Service(logging.Handler):
    """Answers one station, and hands on to it what is logged here."""

    def __init__(self, channel: socket.socket, memory: int, settings: Settings) -> None:
        super().__init__(logging.INFO)
        folder, clock = Path(settings.folder), HostClock()
        self._channel = channel
        self._told: list[tuple[ServiceState, str]] = []
        self._logged: list[tuple[int, str]] = []
        self._guard = DiskGuard(
            folder, settings.frames_free_mb, settings.crops_free_mb, clock, lambda *told: self._told.append(told)
        )
        self._holdings = Holdings(folder, settings.max_bytes, settings.max_age_ns, self._guard, clock)
        self._keeper = Keeper(memory, LiveFolder(Path(settings.live_folder)), self._holdings, self._guard)

    def emit(self, record: logging.LogRecord) -> None:
        self._logged.append((record.levelno, record.getMessage()))

    def run(self) -> None:
        """Serve until the station is gone."""
        with self._holdings:
            more = self._holdings.tend()
            while (question := self._next(wait=not more)) != b"":
                self._guard.look()
                if question is not None:
                    self._answer(question)
                more = all(self._holdings.tend() for _ in range(_STEPS))

    def _next(self, wait: bool) -> bytes | None:
        """Return the next question, None where there is none, nothing at the end."""
        self._channel.setblocking(wait)
        try:
            return self._channel.recv(MOST_BYTES)
        except BlockingIOError:
            return None
        except ConnectionError:
            return b""

    def _answer(self, question: bytes) -> None:
        piece = decode_piece(question)
        report = Report(
            self._keeper.take(piece) if piece is not None else "",
            self._guard.room is Room.NOTHING,
            sum(self._holdings.sizes.values()),
            self._guard.state,
            tuple(self._told),
            tuple(self._logged),
        )
        self._told.clear()
        self._logged.clear()
        with suppress(ConnectionError):
            self._channel.send(encode(report))


def _step_back() -> None:
    """Take only the time that nobody else wants, the line above all, and be the first to go when memory ends.

    A sandbox that allows neither is no reason to keep nothing.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_WHEN_MEMORY_ENDS)


def _main() -> None:
    _step_back()
    cv2.setNumThreads(1)
    channel, memory, settings = sys.argv[1:]
    service = Service(socket.socket(fileno=int(channel)), int(memory), msgspec.json.decode(settings, type=Settings))
    logging.basicConfig(level=logging.INFO, handlers=[service])
    service.run()


if __name__ == "__main__":
    _main()
