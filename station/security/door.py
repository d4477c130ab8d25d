"""A bound socket that looks who comes in, and the requests that come through one. In the thread that bound it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from station.security.clients import Domain
from station.security.limits import Bucket, Shares

__all__ = ["Call", "Callers", "Door"]

logger = logging.getLogger(__name__)

_MOST_PARTS = 16
_PAUSE_S = 0.005
_ATTEMPTS = 10
_TOTAL = 4
"""So many clients may ask as much as one may at the same time; beyond it they wait for each other."""


class Door:
    """A bound socket of one domain. Made, used and closed by one thread; only `stale` is set by another."""

    def __init__(self, socket: zmq.Socket[bytes], domain: Domain, endpoint: str, keyed: bool) -> None:
        """Take the bound `socket`, whose `endpoint` has its port in figures."""
        self.socket = socket
        self.domain: Domain = domain
        self.endpoint = endpoint
        self.keyed = keyed
        self.stale = False
        """A client that is connected is not allowed any more: `renew` is due."""
        self._bound = True

    def renew(self) -> None:
        """Cut all connections off: whoever may come back does, within about a tenth of a second.

        libzmq asks for keys only when a client comes, and can't send one away. While the port is not to be had `stale`
        stays set, for the next attempt.
        """
        if self._bound:
            self.socket.unbind(self.endpoint)
            self._bound = False
        for _ in range(_ATTEMPTS):  # libzmq gives the port up a moment later
            try:
                self.socket.bind(self.endpoint)
            except zmq.ZMQError:
                time.sleep(_PAUSE_S)
                continue
            self._bound = True
            self.stale = False
            logger.info("%s: all connections were cut, for a client that is not allowed any more", self.domain)
            return

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


@dataclass(frozen=True, slots=True)
class Call:
    """A request: who asks, by which way an answer goes back, and what was sent."""

    client: str
    """Its name; empty at a door without keys."""
    route: tuple[bytes, ...]
    parts: list[bytes]


class Callers:
    """The requests at a ROUTER's door, within the limits on rates; what is beyond is dropped and counted."""

    def __init__(
        self,
        door: Door,
        name_of: Callable[[Domain, str], str | None],
        requests_per_s: float,
        refuse: Callable[[Domain, str, str], None],
    ) -> None:
        """`name_of` names the client with a public key, None where it may not come in (any more); `refuse` counts what
        was dropped, by domain, reason and sender."""
        self.door = door
        self._name_of = name_of
        self._refuse = refuse
        self._shares = Shares(requests_per_s, 2 * requests_per_s)
        self._all = Bucket(_TOTAL * requests_per_s, _TOTAL * requests_per_s)

    def receive(self, timeout_ms: int) -> Call | None:
        """Return the next request; None where there was none for so long, or one too many. Never waits longer."""
        if self.door.stale:
            self.door.renew()
        if not self.door.socket.poll(timeout_ms):
            return None
        if not self._all.take(1, time.monotonic_ns()):
            time.sleep(_PAUSE_S)  # a flood waits in the clients' own queues, not in this process
            return None
        return self._take()

    def answer(self, call: Call, parts: list[bytes]) -> None:
        """Send `parts`; dropped where the client is gone or does not read."""
        self.door.socket.send_multipart([*call.route, *parts], zmq.NOBLOCK)

    def _take(self) -> Call | None:
        """Take a message off the socket, all of it, and return it unless it is refused."""
        frames = self._frames()
        sender, parts = frames[0].bytes, [frame.bytes for frame in frames[1:]]
        client = self._name_of(self.door.domain, str(frames[-1].get("User-Id"))) if self.door.keyed else ""
        if refusal := self._refusal(client, sender, parts):
            self._refuse(self.door.domain, refusal, client or "a client")
            return None
        if len(parts) > 1 and not parts[0]:  # a REQ socket's envelope
            return Call(client or "", (sender, b""), parts[1:])
        return Call(client or "", (sender,), parts)

    def _refusal(self, client: str | None, sender: bytes, parts: list[bytes]) -> str:
        """Return why a message is not taken for a request, empty where it is."""
        if client is None:
            return "not allowed any more"
        if not self._shares.take(client or sender.hex(), time.monotonic_ns()):
            return "too often"
        return "" if parts else "empty"

    def _frames(self) -> list[zmq.Frame]:
        """Return all parts of the next message, but of a very long one only the first."""
        socket = self.door.socket
        frames = [socket.recv(zmq.NOBLOCK, copy=False)]
        while frames[-1].more and len(frames) < _MOST_PARTS:
            frames.append(socket.recv(copy=False))
        while socket.rcvmore:
            socket.recv()
        return frames
