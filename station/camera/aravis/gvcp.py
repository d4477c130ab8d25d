"""Ask GigE Vision cameras who they are, past any library: it takes no control, and no wait is longer than asked for.

Lives in the capture thread. GVCP is the control protocol of GigE Vision; offsets are those of its version 2.2.
"""

import contextlib
import select
import socket
import struct
from dataclasses import dataclass

from station.clock import Clock

__all__ = ["Gvcp", "GvcpIdentity", "broadcast"]

_PORT = 3956
_SEVERAL = 3
_ANSWER_WANTED, _TO_ALL = 0x01, 0x10
_ANSWER = struct.Struct(">HHHH10x6s20x4s32x32s32s80x16s16s")  # header; MAC, IP, vendor, model, serial, user name


@dataclass(frozen=True, slots=True)
class GvcpIdentity:
    """What a GigE Vision camera says of itself."""

    mac: str
    address: str
    vendor: str
    model: str
    serial: str
    user_name: str


class Gvcp:
    """A socket to the camera at one IPv4 address. `local` is the address of this host that leads there.

    Raises `OSError` where no way leads to the address.
    """

    def __init__(self, address: str, clock: Clock) -> None:
        self._clock = clock
        self._since_ns = 0
        self._unanswered = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.connect((address, _PORT))
        except OSError:
            self._socket.close()
            raise
        self.local = str(self._socket.getsockname()[0])

    def close(self) -> None:
        """Close the socket; may be called twice."""
        self._socket.close()

    def answers(self, timeout_s: float) -> bool:
        """Ask, and say whether an answer came in time; one to an earlier question counts for nothing."""
        self._heard()
        self._socket.settimeout(timeout_s)
        try:
            self._socket.send(_question(_ANSWER_WANTED))
            return bool(self._socket.recv(1024))
        except OSError:
            return False

    def is_silent(self, for_s: float) -> bool:
        """Ask without waiting, and say whether several questions over at least `for_s` have had no answer."""
        if self._heard():
            self._unanswered = 0
        now_ns = self._clock.tick_ns()
        if not self._unanswered:
            self._since_ns = now_ns
        is_silent = self._unanswered >= _SEVERAL and now_ns - self._since_ns >= for_s * 1e9
        with contextlib.suppress(OSError):
            self._socket.send(_question(_ANSWER_WANTED))
        self._unanswered += 1
        return is_silent

    def _heard(self) -> bool:
        """Take all answers that are there, and leave the socket so that it does not wait."""
        self._socket.setblocking(False)
        heard = False
        with contextlib.suppress(OSError):
            while self._socket.recv(1024):
                heard = True
        return heard


def broadcast(wait_s: float, clock: Clock) -> list[GvcpIdentity]:
    """Ask on every network interface, and return the cameras that answer within `wait_s`."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_asking(name)) for _, name in socket.if_nameindex()]
        found = {}
        end_ns = clock.tick_ns() + round(wait_s * 1e9)
        while (left_ns := end_ns - clock.tick_ns()) > 0:
            for ready in select.select(sockets, [], [], left_ns / 1e9)[0]:
                if identity := _parse(ready.recv(1024)):
                    found[identity.mac, identity.address] = identity
    return list(found.values())


def _asking(interface: str) -> socket.socket:
    """Return a socket on one interface that has asked there, where that has an IPv4 address."""
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.sendto(_question(_ANSWER_WANTED | _TO_ALL), ("255.255.255.255", _PORT))
    return asking


def _question(flags: int) -> bytes:
    """Return a DISCOVERY_CMD."""
    return struct.pack(">BBHHH", 0x42, flags, 0x0002, 0, 1)


def _parse(answer: bytes) -> GvcpIdentity | None:
    if len(answer) < _ANSWER.size:
        return None
    _, _, _, _, mac, address, *texts = _ANSWER.unpack_from(answer)
    names = (text.split(b"\0")[0].decode(errors="replace") for text in texts)
    return GvcpIdentity(mac.hex(":"), socket.inet_ntoa(address), *names)
