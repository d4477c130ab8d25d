"""Carries a peer's requests to the station's control socket, and the answers back. The commander thread."""

import queue
import threading
from collections.abc import Callable

from shadowline.errors import StationError
from station.client import Peer
from station.control_protocol import ask
from station.gateways.base import Ask

__all__ = ["Commander"]

_MOST = 64
_TIMEOUT_S = 3.0
_POLL_S = 0.1


class Commander:
    """Runs in a `Worker`; one request after the other, in the order in which the peer made them."""

    def __init__(self, control: Peer) -> None:
        self._control = control
        self._asks: queue.Queue[Ask] = queue.Queue(_MOST)
        self._answers: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._stopping = threading.Event()

    def put(self, request: Ask) -> None:
        """Take a request; one too many is refused at once. The gateway's thread."""
        try:
            self._asks.put_nowait(request)
        except queue.Full:
            self._answers.put((request.number, f"{_MOST} requests wait already"))

    def answers(self) -> dict[int, str]:
        """Return what was answered since the last time: the request's number, and why it was refused or nothing."""
        found = {}
        while not self._answers.empty():
            number, text = self._answers.get_nowait()
            found[number] = text
        return found

    def run(self, ready: Callable[[], None]) -> None:
        """Ask until stopped."""
        ready()
        while not self._stopping.is_set():
            try:
                request = self._asks.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            self._answers.put((request.number, self._ask(request)))

    def stop(self) -> None:
        """Let the thread end, within the time-out of a request. Any thread."""
        self._stopping.set()

    def _ask(self, request: Ask) -> str:
        try:
            ask(self._control.endpoint, request.request, _TIMEOUT_S, self._control.keys)
        except StationError as fault:
            return str(fault)
        return ""
