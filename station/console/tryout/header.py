"""What an uploaded file says of itself, looked at before anything decodes it. Pure.

A file passes that is one whole still picture and nothing else: every part is walked to the very end, so that what is
cut off, or has another file behind it, is refused by its bytes, whatever its name says.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final, Literal

from shadowline.errors import PictureError

__all__ = ["MOST_BYTES", "MOST_PIXELS", "Header", "read_header"]

MOST_BYTES: Final = 32 * 2**20
MOST_PIXELS: Final = 50_000_000
_MOST_DECODED_BYTES: Final = 200_000_000
_MOST_PARTS: Final = 16_384
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_BMP_HEADERS: Final = (40, 52, 56, 108, 124)
_PAD: Final = 4
_CUT_OFF: Final = "it is cut off: copy it again"
_BEHIND: Final = "something stands behind its end: save the picture anew"


@dataclass(frozen=True, slots=True)
class Header:
    """Kind and size of a picture; `bits` of one pixel, all channels together."""

    kind: Literal["PNG", "JPEG", "BMP"]
    width: int
    height: int
    bits: int


def read_header(data: bytes) -> Header:
    """Return what `data` is. Raises `PictureError`, which says why not, for all but a small enough PNG, JPEG or BMP."""
    if len(data) > MOST_BYTES:
        raise PictureError(f"it has over {MOST_BYTES >> 20} MiB: reduce it")
    if data.startswith(_PNG):
        header = _read_png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data)
    elif data.startswith(b"BM"):
        header = _read_bmp(data)
    else:
        raise PictureError("not a PNG, JPEG or BMP picture: save it as one of these")
    pixels = header.width * header.height
    if not pixels:
        raise PictureError("it has no pixels")
    if pixels > MOST_PIXELS or pixels * header.bits // 8 > _MOST_DECODED_BYTES:
        raise PictureError(f"{header.width}×{header.height} pixels are too many: reduce it")
    return header


def _read_png(data: bytes) -> Header:
    header: Header | None = None
    at = len(_PNG)
    for _ in range(_MOST_PARTS):
        if at + 12 > len(data):
            raise PictureError(_CUT_OFF)
        length, name = struct.unpack_from(">I4s", data, at)
        if header is None:
            if name != b"IHDR" or length != 13 or at + 25 > len(data):
                raise PictureError("not a PNG picture: it has no header")
            header = _png_header(data[at + 8 : at + 21])
        if name == b"acTL":
            raise PictureError("an animation: save one picture of it")
        at += 12 + length
        if name == b"IEND":
            _refuse_odd_end(at, len(data))
            return header
    raise PictureError("not a PNG picture: it has too many parts")


def _png_header(fields: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", fields)
    if depth not in (1, 2, 4, 8, 16) or colour not in _CHANNELS:
        raise PictureError("not a PNG picture: its header is damaged")
    return Header("PNG", width, height, max(depth, 8) * _CHANNELS[colour])


def _read_jpeg(data: bytes) -> Header:
    header: Header | None = None
    at = 2
    for _ in range(_MOST_PARTS):
        found = _MARKER.search(data, at)
        if found is None:
            raise PictureError(_CUT_OFF)
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            _refuse_odd_end(at, len(data))
            break
        if marker == 0xD8:
            raise PictureError("several pictures in one JPEG file: save one of them")
        if marker in _FRAMES:
            header = _jpeg_header(data[at : at + 8])
        at += int.from_bytes(data[at : at + 2], "big")
    if header is None:
        raise PictureError("not a JPEG picture: it has no header")
    return header


def _jpeg_header(fields: bytes) -> Header:
    if len(fields) < 8:
        raise PictureError(_CUT_OFF)
    _, depth, height, width, channels = struct.unpack(">HBHHB", fields)
    if depth != 8 or channels not in (1, 3, 4):
        raise PictureError(f"a JPEG picture of {depth} bits and {channels} channels: save it with 8 bits")
    return Header("JPEG", width, height, 8 * channels)


def _read_bmp(data: bytes) -> Header:
    if len(data) < 54:
        raise PictureError(_CUT_OFF)
    size, start, header_size = struct.unpack_from("<I4xII", data, 2)
    width, height, planes, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if header_size not in _BMP_HEADERS or planes != 1 or bits not in (8, 24, 32) or compression or width <= 0:
        raise PictureError("a BMP picture of an unusual kind: save it as PNG")
    pixels_end = start + -(-width * bits // 32) * 4 * abs(height)
    if pixels_end > len(data):
        raise PictureError(_CUT_OFF)
    if not 14 + header_size <= start <= 2048 or size > len(data) or len(data) > pixels_end + _PAD:
        raise PictureError(_BEHIND)
    return Header("BMP", width, abs(height), bits)


def _refuse_odd_end(end: int, length: int) -> None:
    if end > length:
        raise PictureError(_CUT_OFF)
    if end < length:
        raise PictureError(_BEHIND)
