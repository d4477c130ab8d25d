"""A GigE Vision camera as a process of its own, on a wire that nothing leaves: the real peer of the `aravis` driver."""

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import pytest

from shadowline.errors import StationError
from station.camera.aravis.device import load_aravis

__all__ = ["CAMERA", "OTHER_CAMERA", "GigeCamera", "Wire", "gige_camera"]

STATION, CAMERA, OTHER_CAMERA = "10.77.0.1", "10.77.0.2", "10.77.0.3"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Wire:
    """Two network namespaces without a name, joined by a veth pair; they end with the last process inside."""

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        if shutil.which("ip") is None:
            pytest.skip("network namespaces need iproute2: sh tests/cameras-install.sh")
        self._station, self._camera = _new(), _new()
        self._ip("link", "add", "station", "type", "veth", "peer", "camera", "netns", f"/proc/self/fd/{self._camera}")
        self._raise(self._station, "station", STATION)
        self._raise(self._camera, "camera", CAMERA, OTHER_CAMERA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._station)
        os.close(self._camera)

    @contextlib.contextmanager
    def at_station(self) -> Iterator[None]:
        """Keep this thread, and what it starts, on the station's side."""
        with self._at(self._station):
            yield

    @contextlib.contextmanager
    def at_camera(self) -> Iterator[None]:
        """Keep this thread, and what it starts, on the camera's side."""
        with self._at(self._camera):
            yield

    def unplug(self) -> None:
        """Take the camera's end down."""
        self._ip("link", "set", "camera", "down", side=self._camera)

    def plug(self) -> None:
        """Take the camera's end up again."""
        self._ip("link", "set", "camera", "up", side=self._camera)

    @contextlib.contextmanager
    def _at(self, side: int) -> Iterator[None]:
        before = _current()
        _enter(side)
        try:
            yield
        finally:
            _enter(before)
            os.close(before)

    def _raise(self, side: int, name: str, *addresses: str) -> None:
        for address in addresses:
            self._ip("address", "add", f"{address}/24", "dev", name, side=side)
        self._ip("link", "set", name, "mtu", "9000", "up", side=side)
        self._ip("link", "set", "lo", "up", side=side)

    def _ip(self, *words: str, side: int | None = None) -> None:
        with self._at(self._station if side is None else side):
            subprocess.run(["ip", *words], check=True, pass_fds=[self._camera])


class GigeCamera:
    """The server process at one address of the wire's camera side."""

    _serials = itertools.count(1)

    def __init__(
        self, wire: Wire, *options: str, address: str = CAMERA, serial: str = "", program: str = "gige_server"
    ) -> None:
        self.address = address
        self.serial = serial or f"GV{next(self._serials):02}"
        self._wire = wire
        self._program = program
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            load_aravis()
        except StationError as error:
            pytest.skip(f"{error}; or sh tests/cameras-install.sh")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the camera with its defaults, and wait until it listens."""
        words = [sys.executable, "-m", f"tests.{self._program}", self.address, self.serial, *self._options]
        with self._wire.at_camera():
            self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """End the camera without a word, as a pulled plug does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Stop the camera where it stands."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)


@contextlib.contextmanager
def gige_camera() -> Iterator[GigeCamera]:
    """Run a camera on a wire of its own, and keep this thread on the station's side."""
    with Wire() as wire, GigeCamera(wire) as camera, wire.at_station():
        yield camera


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _new() -> int:
    """Return a new namespace; this thread stays where it is."""
    before = _current()
    try:
        if _libc.unshare(_CLONE_NEWNET):
            pytest.skip(f"network namespaces can't be made here: {os.strerror(ctypes.get_errno())}")
        made = _current()
        _enter(before)
        return made
    finally:
        os.close(before)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
