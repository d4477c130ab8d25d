"""Where the messages of a report come from: a file of JSON lines, or a station that runs. Main thread."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import msgspec
import zmq

from shadowline.errors import ConfigError
from station.event import Message, decode

__all__ = ["hear_messages", "read_messages"]

_KEPT = 100_000


def read_messages(path: Path) -> Iterator[Message | None]:
    """Yield each line's message, as `station watch --json` printed it; None for a line that holds none.

    Raises `ConfigError` where the file can't be read.
    """
    try:
        with path.open("rb") as lines:
            yield from (_decode(line) for line in lines if not line.isspace())
    except OSError as error:
        raise ConfigError(f"{path}: can't read the events: {error.strerror}") from None


def hear_messages(connect: Callable[[zmq.Socket[bytes]], None]) -> Generator[Message | None]:
    """Yield what a station publishes, for ever; None where it is no message. `connect` leads to it, and may raise."""
    with zmq.Context(io_threads=1) as context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.rcvhwm = _KEPT
        socket.subscribe(b"")
        connect(socket)
        while True:
            yield _decode(socket.recv_multipart()[-1])


def _decode(payload: bytes) -> Message | None:
    try:
        return decode(payload)
    except msgspec.DecodeError:
        return None
