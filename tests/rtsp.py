"""An RTSP server with numbered pictures of our own: a peer of the `opencv` driver."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

__all__ = ["RtspServer", "rtsp_server"]

_REPOSITORY = Path(__file__).parents[1]
_SYSTEM_PYTHON = "/usr/bin/python3"
_NEEDS = "from gi import require_version as need; need('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class RtspServer:
    """Serves `rtsp://127.0.0.1:PORT/strip` from entering to leaving; its numbers count the pictures since then."""

    def __init__(
        self, width: int, height: int, rate_hz: int = 25, user: str = "", password: str = "", codec: str = "h264"
    ) -> None:
        self._arguments = [str(width), str(height), str(rate_hz), user, password, codec]
        self.port = 0

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/strip"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the process, on the port of the last time, and wait until it listens."""
        command = [_SYSTEM_PYTHON, "-m", "tests.rtsp_program", str(self.port), *self._arguments]
        self._process = subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        with self._process.stdout as said:
            self.port = int(said.readline())

    def kill(self) -> None:
        """End the process at once, as a power cut does."""
        self._process.kill()
        self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the process stand still: connections stay open and nothing comes."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def rtsp_server(width: int, height: int, **settings: Any) -> Iterator[RtspServer]:
    """Run a server; the test is skipped where there can be none."""
    if (
        not Path(_SYSTEM_PYTHON).exists()
        or subprocess.run([_SYSTEM_PYTHON, "-c", _NEEDS], capture_output=True).returncode
    ):
        pytest.skip("no RTSP server: gir1.2-gst-rtsp-server-1.0 and python3-gi are not installed")
    with RtspServer(width, height, **settings) as server:
        yield server
