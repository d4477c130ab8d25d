"""A build in a process of its own, and its progress here. Main thread, or the station's swap thread.

A compiler that dies, clings to GPU memory or meets a hostile file harms nothing but itself.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from engines.build import BuildRequest, Progress, build
from engines.plan import Plan
from shadowline import errors
from shadowline.errors import EngineError, StationError

__all__ = ["BuildProcess"]

_COMMAND = (sys.executable, "-m", "engines.build_process")
_NICENESS = 19
_LAST_WORDS = 400


class BuildProcess:
    """A `build` in a process of its own, at low priority."""

    def __init__(self, request: BuildRequest) -> None:
        self._request = request
        self._child: subprocess.Popen[str] | None = None
        self._killed = False

    def run(self, progress: Progress) -> Plan:
        """Build and return the plan. Raises what the build raised, and `EngineError` when its process died."""
        with (
            tempfile.TemporaryFile("w+", errors="replace") as noise,
            subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True) as child,
        ):
            self._child = child
            if self._killed:
                child.kill()
            try:
                assert child.stdin is not None
                assert child.stdout is not None
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(self._request.model_dump_json())
                folder = self._follow(child.stdout, progress)
                code = child.wait()
            finally:
                child.kill()
            if folder is None or self._killed:
                raise EngineError(f"{self._request.model}: the build {self._last_words(code, noise)}")
        return Plan.read(folder)

    def kill(self) -> None:
        """End the build at once; `run` then raises. Any thread."""
        self._killed = True
        if self._child is not None:
            self._child.kill()

    def _follow(self, lines: IO[str], progress: Progress) -> Path | None:
        """Hand on progress until the build's last line, and return the folder that it names."""
        for line in lines:
            message = json.loads(line)
            if "error" in message:
                kind = getattr(errors, message["kind"])
                raise kind.__new__(kind, message["error"])  # not by __init__: MissingExtra makes its own words
            if "folder" in message:
                return Path(message["folder"])
            progress(message["step"], message["part"])
        return None

    def _last_words(self, code: int, noise: IO[str]) -> str:
        if self._killed:
            return "was stopped"
        if code == -signal.SIGALRM:
            return f"took longer than {self._request.limit_s} s and was ended"
        noise.seek(0)
        words = " ".join(noise.read().split())[-_LAST_WORDS:]
        ended = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"process {ended}: {words}" if words else f"process {ended} without a word"


def _main() -> None:
    """Do the build that standard input asks for; answer with lines of JSON on what was standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print as they like
    os.nice(_NICENESS)

    def say(**message: object) -> None:
        print(json.dumps(message), file=answers, flush=True)

    request = BuildRequest.model_validate_json(sys.stdin.read())
    signal.alarm(request.limit_s)
    try:
        plan = build(request, lambda step, part: say(step=step, part=part))
    except StationError as fault:
        say(error=str(fault), kind=type(fault).__name__)
        return
    say(folder=str(plan.folder))


if __name__ == "__main__":
    _main()
