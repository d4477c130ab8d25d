"""What the daemon's signals ask for. Main thread."""

import os
import signal
import sys
from typing import Any, Self

__all__ = ["Signals"]


class Signals:
    """Takes SIGTERM, SIGINT and SIGHUP for the length of a block: a second one to stop ends the process at once.

    The handlers only set attributes: they may interrupt the main thread anywhere, also where it holds a lock.
    """

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        """Whoever reloads takes it back."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._take_stop)
        if not sys.stdin.isatty():  # there it says that the terminal is gone
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._take_reload)
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take_stop(self, number: int, frame: object) -> None:
        name = signal.Signals(number).name
        if self.stop:
            os.write(2, f"{name} again: stopped without draining\n".encode())
            os._exit(3)
        self.stop = True
        os.write(2, f"{name}: stopping\n".encode())

    def _take_reload(self, number: int, frame: object) -> None:
        self.reload = True
