"""The wire format of protocol buffers, as far as Sparkplug needs it. Pure.

A message is a row of fields, each a number and a kind, then the value: https://protobuf.dev/programming-guides/encoding
"""

import struct
from collections.abc import Iterator

__all__ = ["as_bytes", "as_double", "as_number", "fields"]

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_MOST_BITS = 64


def as_number(field: int, value: int) -> bytes:
    """Return a field of an unsigned number below 2**64, or of a truth value."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def as_double(field: int, value: float) -> bytes:
    """Return a field of a double."""
    return _varint(field << 3 | _FIXED64) + struct.pack("<d", value)


def as_bytes(field: int, value: bytes) -> bytes:
    """Return a field of bytes, UTF-8 text, or a message."""
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field, those of four and eight bytes as they lie there.

    Raises `ValueError` for what is no message.
    """
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        match key & 7:
            case 0:
                value, at = _read_varint(message, at)
                yield key >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _read_varint(message, at)
            case 5:
                length = 4
            case kind:
                raise ValueError(f"a field of kind {kind}, which protocol buffers do not have")
        if at + length > len(message):
            raise ValueError("the message ends within a field")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number that begins at `at`, and where it ends."""
    value = 0
    for shift in range(0, _MOST_BITS + 6, 7):
        if at >= len(message):
            raise ValueError("the message ends within a number")
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value & (2**_MOST_BITS - 1), at
    raise ValueError("a number of more than 64 bits")
