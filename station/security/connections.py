"""The TCP connections of one bound socket: how many there are, and how much comes over each. Gate thread.

libzmq bounds neither: anybody may open connections until the process has no file handle left, and an endless multipart
message, or subscriptions without end, fill the memory before a single message arrives. So connections beyond a number,
and those that say more than a peer of this kind ever would, are shut down by their handle.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import zmq

from station.security.limits import Bucket

__all__ = ["EVENTS", "Connections"]

EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
"""What libzmq must tell of the socket."""

_EVENT = struct.Struct("=hi")
_MECHANISM_DIFFERS = 0x11000002  # ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
_CRYPTOGRAPHIC = 0x11000001  # ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
_FAILURES = {_MECHANISM_DIFFERS: "without keys", _CRYPTOGRAPHIC: "another station's key"}
_TCP_INFO_BYTES = 136
_RECEIVED_AT = 128  # tcpi_bytes_received of struct tcp_info, Linux 4.1 and later


class Connections:
    """Follows what libzmq tells; `note` counts what happened, `refuse` what was not let through, and why."""

    def __init__(
        self,
        port: int,
        most: int,
        bytes_per_s: float,
        most_bytes: float,
        note: Callable[[str], None],
        refuse: Callable[[str], None],
    ) -> None:
        self._port = port
        self._most = most
        self._bytes_per_s = bytes_per_s
        self._most_bytes = most_bytes
        self._note = note
        self._refuse = refuse
        self._open: dict[int, tuple[Bucket, int]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def take(self, told: bytes) -> None:
        """Take an event of libzmq's, the first part of it."""
        event, value = _EVENT.unpack(told)
        match event:
            case zmq.EVENT_ACCEPTED:
                self._accept(value)
            case zmq.EVENT_DISCONNECTED:
                self._open.pop(value, None)
                self._note("ended")
            case zmq.EVENT_CLOSED:  # of the listening socket, and all connections with it
                self._open.clear()
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._note("admitted")
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._refuse("unfinished")
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self._refuse(_FAILURES.get(value, "malformed"))

    def look(self, tick_ns: int) -> None:
        """Shut down the connections that said too much."""
        for handle, (bucket, before) in list(self._open.items()):
            with _borrowed(handle, self._port) as connection:
                if connection is None:
                    self._open.pop(handle, None)
                    continue
                received = _received(connection)
                self._open[handle] = bucket, received
                if not bucket.take(max(0, received - before), tick_ns):
                    self._refuse("too much")
                    _shut(connection)

    def _accept(self, handle: int) -> None:
        self._note("accepted")
        if len(self._open) < self._most:
            self._open[handle] = Bucket(self._bytes_per_s, self._most_bytes), 0
            return
        self._refuse("too many")
        with _borrowed(handle, self._port) as connection:
            if connection is not None:
                _shut(connection)


@contextmanager
def _borrowed(handle: int, port: int) -> Iterator[socket.socket | None]:
    """Yield the connection at `handle` by a handle of our own, None where it is another thing by now.

    libzmq may close it at any moment, and the number be used again: ours keeps meaning what was looked at.
    """
    with ExitStack() as opened:
        try:
            connection = opened.enter_context(socket.fromfd(handle, socket.AF_INET, socket.SOCK_STREAM))
            ours = connection.getsockname()[1] == port
        except OSError:
            ours = False
        yield connection if ours else None


def _received(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    received: int = struct.unpack_from("=Q", info, _RECEIVED_AT)[0]
    return received


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it ended by itself
        connection.shutdown(socket.SHUT_RDWR)
