"""The client's two sockets: connected, with a clear error where no station answers, and watched for silence.

In the caller's thread.
"""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

import zmq
from zmq.utils.monitor import recv_monitor_message

from shadowline.errors import ConfigError, StationError
from station.client.items import Silence
from station.security.keys import ClientKeys

__all__ = ["Peer", "Socket", "Vigil", "connected", "poll"]

Socket: TypeAlias = zmq.Socket[bytes]

_MAX_BYTES = 64 << 20
_MAX_WAITING = 10_000
_PING_MS = 2000
_PONG_MS = 6000
_LONGEST_POLL_S = 1.0
_ANEW = 5


@dataclass(frozen=True, slots=True)
class Peer:
    """A socket of a station, and the keys to come with where it asks for some."""

    endpoint: str
    keys: ClientKeys | None = None


@contextmanager
def connected(live: Peer, replay: Peer | None, timeout_s: float) -> Iterator[tuple[Socket, Socket | None]]:
    """Yield a socket that hears what is published at `live`, and one that asks the journal at `replay`.

    Raises `ConfigError` for what is no endpoint, `StationError` where no station answers within `timeout_s`.
    """
    until_s = time.monotonic() + timeout_s
    with zmq.Context(io_threads=1) as context, ExitStack() as opened:
        hearing = opened.enter_context(_joined(context, zmq.SUB, live, until_s))
        asking = opened.enter_context(_joined(context, zmq.DEALER, replay, until_s)) if replay else None
        yield hearing, asking


@contextmanager
def _joined(context: zmq.Context[Socket], kind: int, peer: Peer, until_s: float) -> Iterator[Socket]:
    """Yield a socket to which a station's has answered."""
    with context.socket(kind) as socket:
        socket.linger = 0
        socket.rcvhwm = _MAX_WAITING
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _PING_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _PONG_MS)
        if kind == zmq.SUB:
            socket.subscribe(b"")
        else:
            socket.setsockopt(zmq.IMMEDIATE, 1)  # ask nobody rather than keep questions for later
        if peer.keys is not None:
            peer.keys.prepare(socket)
        _join(socket, peer.endpoint, until_s)
        yield socket


def _join(socket: Socket, endpoint: str, until_s: float) -> None:
    """Connect, and wait until a station's socket has answered."""
    with socket.get_monitor_socket() as events:
        try:
            socket.connect(endpoint)
            while (left_s := until_s - time.monotonic()) > 0:
                if poll([events], left_s) and _has_joined(events, endpoint):
                    return
        except zmq.ZMQError as fault:
            raise ConfigError(f"{endpoint}: can't be connected to: {fault.strerror}") from None
        finally:
            socket.disable_monitor()
    raise StationError(f"{endpoint}: no station answers there: does one run, and is this its endpoint?")


def _has_joined(events: Socket, endpoint: str) -> bool:
    """Take the next of the socket's events; raises `StationError` where there is no hope."""
    match recv_monitor_message(events)["event"]:
        case zmq.EVENT_HANDSHAKE_SUCCEEDED:
            return True
        case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise StationError(f"{endpoint}: not let in: station keys list, on the station's computer, shows who is")
        case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED:
            raise StationError(f"{endpoint}: hangs up: are the endpoints exchanged, or does it ask for other keys?")
    return False


def poll(sockets: list[Socket], timeout_s: float) -> bool:
    """Wait until one of `sockets` has something, at most about a second; whether one has."""
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    return bool(poller.poll(math.ceil(min(max(timeout_s, 0.0), _LONGEST_POLL_S) * 1e3)))


class Vigil:
    """Watches one endpoint: tells once when nothing comes from it, and connects anew when that lasts.

    libzmq itself never tries again where a peer broke its protocol.
    """

    def __init__(self, socket: Socket, endpoint: str) -> None:
        self.silent = False
        self._socket = socket
        self._endpoint = endpoint
        self._heard_s = self._tried_s = time.monotonic()

    def hear(self) -> None:
        """Note that something came, or that nothing is due."""
        self._heard_s = self._tried_s = time.monotonic()
        self.silent = False

    def due_s(self, patience_s: float) -> float:
        """Return when to look again, on the monotonic clock."""
        return self._tried_s + _ANEW * patience_s if self.silent else self._heard_s + patience_s

    def look(self, patience_s: float) -> Silence | None:
        """Return the silence where one has begun: nothing came for `patience_s`."""
        now_s = time.monotonic()
        if now_s < self.due_s(patience_s):
            return None
        if self.silent:
            self._connect_anew(now_s)
            return None
        self.silent = True
        return Silence(self._endpoint, round(now_s - self._heard_s, 3))

    def _connect_anew(self, now_s: float) -> None:
        self._tried_s = now_s
        with suppress(zmq.ZMQError):
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)
