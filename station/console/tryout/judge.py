"""The console's end of the judging process: started when it is needed, killed when it hangs. Any thread."""

import logging
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final, Self

import msgspec

from shadowline.errors import JudgeBusy, JudgeGone
from station.console.tryout.messages import Reply, Task, receive_reply, send

__all__ = ["PictureJudge"]

logger = logging.getLogger(__name__)

_END_S: Final = 5.0


class PictureJudge:
    """Hands pictures to one judging process, one after the other, for the length of a block."""

    def __init__(self, config: Path, waiting: int = 8, timeout_s: float = 30.0, start_s: float = 120.0) -> None:
        """At most `waiting` callers wait beside the one whose picture is judged; `timeout_s` is for one picture.

        `start_s` is for the first one, for which networks and kernels are loaded.
        """
        self._config = config
        self._places = threading.BoundedSemaphore(1 + waiting)
        self._turn = threading.Lock()
        self._timeout_s = timeout_s
        self._start_s = start_s
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._stamp: tuple[int, int] | None = None
        self._warm = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        with self._turn:
            self._end()

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.pid if self._process is not None else None

    def begin(self) -> None:
        """Start the process, unless one runs, so that the first picture finds it."""
        if self._turn.acquire(blocking=False):
            try:
                self._ready()
            finally:
                self._turn.release()

    def judge(self, task: Task, picture: bytes) -> list[Reply]:
        """Return what came of `task`, a reply a choice.

        Raises `JudgeBusy` at once where too many wait, and `JudgeGone` when the process dies or hangs; the next
        picture finds a new one.
        """
        if not self._places.acquire(blocking=False):
            raise JudgeBusy("too many pictures wait to be judged: try again in a moment")
        try:
            with self._turn:
                return self._ask(task, picture)
        finally:
            self._places.release()

    def _ask(self, task: Task, picture: bytes) -> list[Reply]:
        line = self._ready()
        limit_s = self._timeout_s if self._warm else self._start_s
        try:
            line.settimeout(limit_s)
            send(line, task, picture)
            replies = receive_reply(line, limit_s)
        except TimeoutError:
            self._end()
            raise JudgeGone(f"it was not judged within {limit_s:g} s and given up") from None
        except (OSError, EOFError, msgspec.DecodeError):
            self._end()
            raise JudgeGone("the judging process ended over it: too large, or damaged; the log says more") from None
        self._warm = True
        return replies

    def _ready(self) -> socket.socket:
        """Return the line to a process that runs and has read the configuration as it is now."""
        stamp = _stamp(self._config)
        if self._process is None or self._line is None or self._process.poll() is not None or stamp != self._stamp:
            self._end()
            self._start()
            self._stamp = stamp
        assert self._line is not None
        return self._line

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "station.console.tryout.process", str(self._config), str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._line = ours
        logger.info("judging process %d started", self._process.pid)

    def _end(self) -> None:
        """Kill the process, if there is one, and free what belonged to it."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(_END_S)
        self._process = self._line = None
        self._warm = False


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when the file does; None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
