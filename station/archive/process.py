"""The archive process as the station sees it: started, asked, ended, started again when it died. Archive thread.

Nothing here waits for it but its end: each time that a thread is woken to run a few lines, the line may wait for them.
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from station.archive.handover import MOST_BYTES, Piece, Report, Settings, decode_report, encode
from station.clock import Clock

__all__ = ["KeepingProcess"]

_SILENT_S: Final = 30.0
"""Longer than any disk stands still that still works."""
_END_S = 2.0
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_STATIONS_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""They may go to all of the station's processes; this one has them blocked: what comes last is kept, too."""


class KeepingProcess:
    """Runs `station.archive.serve`, a process of lowest priority, for the length of a `with` block."""

    def __init__(self, settings: Settings, memory: int, clock: Clock, given_up: Callable[[], bool]) -> None:
        """`memory` is where the slots are; when `given_up` says so, one that owes an answer is ended and none begun."""
        self._settings = settings
        self._memory = memory
        self._clock = clock
        self._given_up = given_up
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket
        self._owed = 0
        self._heard_ns = 0
        self._due_ns = 0
        self._pause_s = _PAUSE_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def revive(self) -> bool:
        """Start it where it does not run, unless that was tried just now or it is given up; return whether it runs.

        Raises OSError.
        """
        if self._child is None and self._clock.tick_ns() >= self._due_ns and not self._given_up():
            self._due_ns = self._clock.tick_ns() + round(self._pause_s * 1e9)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._start()
        return self._child is not None

    def ask(self, piece: Piece | None) -> None:
        """Have `piece` kept, or, without one, ask how the archive is.

        Raises `ConnectionError` that says how it died.
        """
        try:
            self._channel.send(encode(piece))
        except OSError:
            raise self._lose() from None
        if not self._owed:
            self._heard_ns = self._clock.tick_ns()
        self._owed += 1

    def hear(self) -> Iterator[Report]:
        """Yield the answers that are there, in the order of the questions.

        Raises `ConnectionError` that says how it died; one that is silent for too long is ended.
        """
        while self._owed:
            try:
                answer = self._channel.recv(MOST_BYTES)
            except BlockingIOError:
                self._bear_silence()
                return
            except OSError:
                answer = b""
            if not answer:
                raise self._lose()
            self._owed -= 1
            self._heard_ns = self._clock.tick_ns()
            self._pause_s = _PAUSE_S
            yield decode_report(answer)

    def _bear_silence(self) -> None:
        silent_s = (self._clock.tick_ns() - self._heard_ns) / 1e9
        if silent_s > _SILENT_S or self._given_up():
            self._end(kill=True)
            raise ConnectionError(f"did not answer for {silent_s:.0f} s")

    def _start(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = (str(its.fileno()), str(self._memory), encode(self._settings).decode())
        with its:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _STATIONS_SIGNALS)
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "station.archive.serve", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(its.fileno(), self._memory),
                )
            except OSError:
                ours.close()
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ours.setblocking(False)
        self._channel = ours

    def _lose(self) -> ConnectionError:
        """Return the error that says how it died."""
        code = self._end()
        if code is None:
            return ConnectionError("can't be ended")
        return ConnectionError(f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")

    def _end(self, kill: bool = False) -> int | None:
        """Let it end, or `kill` it; return its code, None where there is none to end, or a disk that hangs holds it."""
        child, self._child, self._owed = self._child, None, 0
        if child is None:
            return None
        self._channel.close()
        for must_die in (kill, True):
            if must_die:
                child.kill()
            with suppress(subprocess.TimeoutExpired):
                return child.wait(_END_S)
        return None
