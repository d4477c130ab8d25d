"""What the console and its judging process tell each other, and how it travels. Pure but for the socket.

Two lengths, of a JSON header and of a picture file, then both; back comes one length and a JSON reply.
"""

import socket
import struct
import time
from typing import Final, Literal, TypeAlias

import msgspec

__all__ = [
    "Choice",
    "Judged",
    "Region",
    "Reply",
    "Rule",
    "Sorry",
    "Task",
    "receive",
    "receive_reply",
    "send",
    "send_reply",
]

_LENGTHS: Final = struct.Struct(">II")
_LENGTH: Final = struct.Struct(">I")
_PIECE_BYTES: Final = 2**20


class Choice(msgspec.Struct, frozen=True):
    """Which rules and which model: those of a recipe (`default` for the plain tables), or another model file."""

    title: str
    recipe: str
    model: str = ""


class Task(msgspec.Struct, frozen=True):
    """What to do with a picture. Flat field and limit are those of `camera`; empty for a picture of no camera."""

    choices: tuple[Choice, ...]
    camera: str = ""
    whole: bool = False
    """Whether the first reply is to carry the whole picture, for somebody to keep."""


class Rule(msgspec.Struct, frozen=True):
    """The rule of a region's label, and whether this region counts by it."""

    action: str
    min_confidence: float
    min_area_px: int
    min_count: int
    counts: bool


class Region(msgspec.Struct, frozen=True):
    """A region and what the network says of it; `probabilities` are missing where a finder named it by itself.

    `crop` is a PNG of what the network saw; `saliency` are rows from 0 to 1, as `saliency_of` says.
    """

    label: str
    confidence: float
    box_px: tuple[int, int, int, int]
    area_px: int
    depth: float
    novelty: float | None
    found_by: str
    score: float
    rule: Rule
    unknown_by: Literal["", "floor", "novelty", "finder"] = ""
    """Why it is `unknown`, if it is; `floor` is then what its confidence is below of."""
    floor: float | None = None
    probabilities: dict[str, float] | None = None
    crop: bytes = b""
    saliency: tuple[tuple[float, ...], ...] = ()


class Judged(msgspec.Struct, frozen=True, tag_field="reply", tag="judged"):
    """One picture judged by one choice; `whole` is what the network says of the whole picture as one crop."""

    choice: str
    model: str
    width_px: int
    height_px: int
    bits: int
    verdict: str
    reason: str
    detail: str
    novelty_limit: float | None
    found: int
    """Regions in all; the largest are in `regions`."""
    regions: tuple[Region, ...]
    whole: dict[str, float]
    timings_ms: dict[str, float]
    saliency_by: str
    shown: bytes
    """The picture as JPEG, not larger than a screen."""
    png: bytes = b""
    """All of it as it was decoded, where that was asked for."""


class Sorry(msgspec.Struct, frozen=True, tag_field="reply", tag="sorry"):
    """Why there is no judgement by one choice."""

    choice: str
    error: str


Reply: TypeAlias = Judged | Sorry

_tasks = msgspec.json.Decoder(Task)
_replies: msgspec.json.Decoder[list[Reply]] = msgspec.json.Decoder(list[Reply])


def send(line: socket.socket, task: Task, picture: bytes) -> None:
    """Send one task within the socket's time-out. Raises OSError."""
    header = msgspec.json.encode(task)
    line.sendall(_LENGTHS.pack(len(header), len(picture)) + header)
    line.sendall(picture)


def receive(line: socket.socket) -> tuple[Task, bytes] | None:
    """Wait for the next task; None where the other side is gone. Raises `TimeoutError` after the socket's time-out."""
    lengths = _take(line, _LENGTHS.size)
    if not lengths:
        return None
    header, picture = _LENGTHS.unpack(lengths)
    return _tasks.decode(_take(line, header)), _take(line, picture)


def send_reply(line: socket.socket, replies: list[Reply]) -> None:
    """Send what came of a task. Raises OSError."""
    content = msgspec.json.encode(replies)
    line.sendall(_LENGTH.pack(len(content)) + content)


def receive_reply(line: socket.socket, timeout_s: float) -> list[Reply]:
    """Wait for what came of a task. Raises `TimeoutError`, and `EOFError` where the other side is gone."""
    until_s = time.monotonic() + timeout_s
    length = _take(line, _LENGTH.size, until_s)
    if not length:
        raise EOFError
    return _replies.decode(_take(line, _LENGTH.unpack(length)[0], until_s))


def _take(line: socket.socket, count: int, until_s: float | None = None) -> bytes:
    """Return the next `count` bytes, none of them at the end."""
    taken = bytearray()
    while len(taken) < count:
        if until_s is not None:
            line.settimeout(max(until_s - time.monotonic(), 0.001))
        piece = line.recv(min(count - len(taken), _PIECE_BYTES))
        if not piece:
            return b""
        taken += piece
    return bytes(taken)
