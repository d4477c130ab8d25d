"""Work that takes seconds of a processor, done by a process beside the console, one at a time. Any thread."""

import os
import subprocess
import sys
from collections.abc import Sequence
from threading import Lock
from types import TracebackType
from typing import Final, Self

from shadowline.errors import StationError

__all__ = ["Errands"]

_LONGEST_S: Final = 300.0
_NICE: Final = "10"


class Errands:
    """Runs modules of this program for the length of a `with` block, whose end ends them."""

    def __init__(self) -> None:
        self._one = Lock()
        self._changing = Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changing:
            self._closed = True
            if self._running is not None:
                self._running.kill()
        with self._one:
            pass

    def run(self, arguments: Sequence[str], payload: bytes = b"", good: Sequence[int] = (0,)) -> bytes:
        """Run `python -m` with `arguments`, and return what it printed.

        Raises `StationError` with its last line where it ends otherwise than in `good`, and while another one runs.
        """
        if not self._one.acquire(blocking=False):
            raise StationError("another report or search is being made: try again in a moment")
        try:
            command = ["nice", "-n", _NICE, sys.executable, "-m", *arguments]
            with self._start(command) as process:
                printed, told = _talk(process, payload)
            if process.returncode in good:
                return printed
            lines = told.decode(errors="replace").strip().splitlines()
            raise StationError(lines[-1] if lines else f"it ended with code {process.returncode}")
        finally:
            self._one.release()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._changing:
            if self._closed:
                raise StationError("the console ends")
            pipe, alone = subprocess.PIPE, dict(os.environ) | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
            self._running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=alone)
            return self._running


def _talk(process: subprocess.Popen[bytes], payload: bytes) -> tuple[bytes, bytes]:
    try:
        return process.communicate(payload, _LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise StationError(f"it took longer than {_LONGEST_S:g} s") from None
