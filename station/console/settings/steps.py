"""Calibration as a sub-process `station calibrate …`: one at a time, its words kept. Any thread."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import IO, Final, Self

import msgspec

from shadowline.errors import StationError

__all__ = ["STEPS", "StepState", "Steps"]

STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "flat-field": ("flat-field", "{camera}", "--no-dark", "--yes"),
    "geometry": ("geometry", "{camera}", "--seconds", "60"),
    "limit": ("limit", "{camera}", "--per-frame", "0.1"),
    "baseline": ("check", "{camera}", "--baseline"),
    "check": ("check", "{camera}"),
}
"""What each step runs; nothing that a browser sends stands in it but which step and which configured camera."""

_LAST_BYTES: Final = 8192
_END_S: Final = 10.0


class StepState(msgspec.Struct, frozen=True):
    """The step that runs or ran last; `code` is None while it runs, and `step` empty before the first."""

    step: str = ""
    camera: str = ""
    code: int | None = None
    words: str = ""


class Steps:
    """Runs steps for the length of a `with` block, and ends what runs with it."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._changing = Lock()
        self._step = self._camera = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        with self._changing:
            self._end()
            if self._output is not None:
                self._output.close()

    def command(self, step: str, camera: str) -> list[str]:
        """Return the words of a step after `station`, for people too."""
        words = [word.replace("{camera}", camera) for word in STEPS[step]]
        return ["calibrate", *words, "--config", str(self._config)]

    def begin(self, step: str, camera: str) -> StepState:
        """Start a step. Raises `StationError` while another runs."""
        with self._changing:
            if self._process is not None and self._process.poll() is None:
                raise StationError(f"{self._step} of camera {self._camera} still runs: wait for it, or stop it")
            if self._output is not None:
                self._output.close()
            self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open until the next step, or the end
            self._process = subprocess.Popen(
                [sys.executable, "-m", "station", *self.command(step, camera)],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._step, self._camera = step, camera
            return self._state()

    def stop(self) -> StepState:
        """End the step that runs, if any."""
        with self._changing:
            self._end()
            return self._state()

    def state(self) -> StepState:
        """Return how far the step is."""
        with self._changing:
            return self._state()

    def _state(self) -> StepState:
        if self._process is None or self._output is None:
            return StepState()
        code = self._process.poll()
        handle = self._output.fileno()
        start = max(os.fstat(handle).st_size - _LAST_BYTES, 0)
        words = os.pread(handle, _LAST_BYTES, start)  # the process writes on from where the file stands
        return StepState(self._step, self._camera, code, words.decode(errors="replace"))

    def _end(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
