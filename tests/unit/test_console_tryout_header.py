"""What is taken for one whole still picture, and every kind of file that only looks like one."""

import io
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from shadowline.errors import PictureError
from station.console.tryout.header import MOST_BYTES, Header, read_header

DEEP = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)
GREY = DEEP.astype(np.uint8)


def encoded(suffix: str, image: np.ndarray = GREY) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int = 8, colour: int = 0, before: bytes = b"", pixels: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + before + data


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("run.sh", "rm -rf /")
    return packed.getvalue()


PNG, JPEG, BMP = encoded(".png"), encoded(".jpg"), encoded(".bmp")


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (PNG, Header("PNG", 32, 24, 8)),
        (encoded(".png", DEEP), Header("PNG", 32, 24, 16)),
        (encoded(".png", np.zeros((24, 32, 4), np.uint16)), Header("PNG", 32, 24, 64)),
        (JPEG, Header("JPEG", 32, 24, 8)),
        (encoded(".jpg", np.zeros((24, 32, 3), np.uint8)), Header("JPEG", 32, 24, 24)),
        (BMP, Header("BMP", 32, 24, 8)),
        (encoded(".bmp", np.zeros((24, 33, 3), np.uint8)), Header("BMP", 33, 24, 24)),
    ],
)
def test_whole_pictures_say_what_they_are(data: bytes, header: Header) -> None:
    assert read_header(data) == header


def test_a_progressive_jpeg_is_walked_through_all_its_scans() -> None:
    data = cv2.imencode(".jpg", GREY, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert read_header(data) == Header("JPEG", 32, 24, 8)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not a PNG"),
        (b"<!doctype html><script>alert(1)</script>", "not a PNG"),
        (b"GIF89a" + bytes(100), "not a PNG"),
        (archive(), "not a PNG"),
        (png(60_000, 60_000), "too many"),
        (png(7000, 7000, 16, 6), "too many"),
        (png(0, 10), "no pixels"),
        (png(10, 10, 7), "damaged"),
        (png(10, 10, before=chunk(b"acTL", struct.pack(">II", 2, 0))), "animation"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b""), "no header"),
        (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) * 20_000,
            "too many parts",
        ),
        (PNG + archive(), "behind its end"),
        (PNG[:-20], "cut off"),
        (PNG[:30], "no header"),
        (JPEG + archive(), "behind its end"),
        (JPEG + JPEG, "behind its end"),
        (JPEG[:-2], "cut off"),
        (JPEG[: len(JPEG) // 2], "cut off"),
        (b"\xff\xd8\xff\xd9", "not a JPEG"),
        (JPEG[:2] + JPEG, "several pictures"),
        (BMP[:-9], "cut off"),
        (BMP + archive(), "behind its end"),
        (BMP[:30], "cut off"),
        (BMP[:28] + b"\x01\x00" + BMP[30:], "unusual"),
        (PNG + bytes(MOST_BYTES), "over 32 MiB"),
    ],
)
def test_everything_else_is_refused_with_its_reason(data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        read_header(data)


@pytest.mark.parametrize("data", [PNG, JPEG, BMP])
def test_no_truncation_passes(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(PictureError):
            read_header(data[:end])


@pytest.mark.parametrize("data", [PNG, JPEG, BMP])
def test_no_damage_ends_in_another_error(data: bytes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(0, 256)
        try:
            header = read_header(bytes(damaged))
        except PictureError:
            continue
        assert header.width * header.height <= 50_000_000
