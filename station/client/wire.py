"""What comes over the sockets, as values; what is no message is left out. Pure."""

from typing import Final

import msgspec

from station.event import Heartbeat, Message, decode
from station.journal.protocol import Reply, decode_reply, split

__all__ = ["read_message", "read_messages", "read_reply"]

_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_message(payload: bytes) -> Message | None:
    """Return the message in `payload`, or None where it holds none that this version knows."""
    try:
        message = decode(payload)
    except _NO_JSON:
        return None
    return message if isinstance(message, Heartbeat) or message.event > 0 else None


def read_reply(payload: bytes) -> Reply | None:
    """Return the journal's reply in `payload`, or None."""
    try:
        return decode_reply(payload)
    except _NO_JSON:
        return None


def read_messages(parts: list[bytes]) -> tuple[list[Message], int]:
    """Return the messages of a reply's parts, and how many lines were none."""
    messages: list[Message] = []
    unreadable = 0
    for part in parts:
        try:
            messages += split(part)
        except _NO_JSON:  # look for the line
            found = [read_message(line) for line in part.splitlines()]
            messages += [message for message in found if message is not None]
            unreadable += found.count(None)
    return messages, unreadable
