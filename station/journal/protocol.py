"""What consumers ask of the journal, and what it answers. Pure.

One request and one reply, each JSON in its first part; a `Page` is followed by parts of messages, JSON lines in order
of their numbers; `Latest` by one message a part, the newest of each topic. `id` of the reply is that of its request.
Where clients have keys, a consumer's name is its client's own: another client that says the same name is another.
"""

from typing import Annotated, TypeAlias

import msgspec

from station.event import Message

__all__ = [
    "MAX_REQUEST_BYTES",
    "Acknowledge",
    "Cursor",
    "Latest",
    "Page",
    "Read",
    "Refused",
    "Reply",
    "Request",
    "Snapshot",
    "Where",
    "decode_reply",
    "decode_request",
    "split",
]

MAX_REQUEST_BYTES = 4096

_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Consumer: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Read(msgspec.Struct, tag_field="do", tag="read", forbid_unknown_fields=True, frozen=True):
    """Give the messages from number `start` to `end` (None: to the newest), as many as one reply holds."""

    id: _Number
    start: _Number
    end: _Number | None = None


class Snapshot(msgspec.Struct, tag_field="do", tag="snapshot", forbid_unknown_fields=True, frozen=True):
    """Give the newest message of each topic."""

    id: _Number


class Where(msgspec.Struct, tag_field="do", tag="where", forbid_unknown_fields=True, frozen=True):
    """Tell how far `consumer` has acknowledged."""

    id: _Number
    consumer: _Consumer


class Acknowledge(msgspec.Struct, tag_field="do", tag="acknowledge", forbid_unknown_fields=True, frozen=True):
    """Keep that `consumer` has done with every message up to `event` of `journal`; without it, of the one that is."""

    id: _Number
    consumer: _Consumer
    event: _Number
    journal: str | None = None


Request: TypeAlias = Read | Snapshot | Where | Acknowledge


class Page(msgspec.Struct, tag_field="reply", tag="page", frozen=True):
    """Messages; a number below `next` that is not among them is in the journal no more, or never was."""

    id: int
    journal: str
    first: int
    """The oldest that is kept."""
    last: int
    """The newest on disk."""
    next: int
    """Where to read on."""


class Latest(msgspec.Struct, tag_field="reply", tag="latest", frozen=True):
    """The newest message of each topic follows, heartbeat and all."""

    id: int
    journal: str
    first: int
    last: int


class Cursor(msgspec.Struct, tag_field="reply", tag="cursor", frozen=True):
    """How far a consumer is; `acknowledged` None for one that never acknowledged."""

    id: int
    journal: str
    first: int
    last: int
    acknowledged: int | None


class Refused(msgspec.Struct, tag_field="reply", tag="refused", frozen=True):
    """What was asked can't be done, or is no request (`id` 0)."""

    id: int
    error: str


Reply: TypeAlias = Page | Latest | Cursor | Refused

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_messages: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def decode_request(payload: bytes) -> Request:
    """Return the request in `payload`; raises `msgspec.DecodeError`, `UnicodeDecodeError` or `RecursionError`."""
    return _requests.decode(payload)


def decode_reply(payload: bytes) -> Reply:
    """Return the reply in `payload`; raises as `decode_request`."""
    return _replies.decode(payload)


def split(lines: bytes) -> list[Message]:
    """Return the messages of one part of a page; raises `msgspec.DecodeError` for what is none."""
    return _messages.decode_lines(lines)
