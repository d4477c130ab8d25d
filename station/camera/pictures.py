"""Picture files: found in a directory in natural order, and read as mono images. Pure but for the files."""

import os
import re
from pathlib import Path

import cv2
import numpy as np

from station.frame import Image, InvalidReason

__all__ = ["decode_picture", "is_picture_name", "list_pictures", "read_picture"]

_SUFFIX = re.compile(r"\.(avif|bmp|dib|hdr|jp(2|e|e?g)|p[bgnp]m|png|ras|sr|tiff?|webp)", re.IGNORECASE)
_TAIL_BYTES = 256  # an end mark may be followed by a little padding
_ENDS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n", b"IEND"))
_READ_FLAGS = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH


def is_picture_name(path: Path) -> bool:
    """Whether the file's name says that it is a picture that OpenCV reads; hidden files are none."""
    return _SUFFIX.fullmatch(path.suffix) is not None and not path.name.startswith(".")


def list_pictures(directory: Path) -> list[Path]:
    """Return the pictures of `directory` and below, in natural order (img2 before img10). Raises OSError if it is gone.

    Links to directories are not followed.
    """
    found: list[Path] = []
    os.scandir(directory).close()
    for folder, _, names in os.walk(directory):
        paths = (Path(folder, name) for name in names)
        found.extend(path for path in paths if is_picture_name(path) and path.is_file())
    return sorted(found, key=lambda path: _natural(path.relative_to(directory)))


def read_picture(path: Path, max_pixels: float) -> Image | InvalidReason:
    """Return a picture as mono uint8 or uint16 [H,W] of its own, colour made grey, or why there is none.

    A 16-bit picture is taken as full scale. JPEG and PNG files without their end mark count as unreadable; of other
    formats only what OpenCV refuses.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return InvalidReason.UNREADABLE
    return decode_picture(data, max_pixels)


def decode_picture(data: bytes, max_pixels: float) -> Image | InvalidReason:
    """Return the picture of a file's `data` as `read_picture` does."""
    if not data or not _whole(data):
        return InvalidReason.UNREADABLE
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _READ_FLAGS)
    except cv2.error as error:
        too_large = "CV_IO_MAX_IMAGE" in str(error)
        return InvalidReason.UNSUPPORTED if too_large else InvalidReason.UNREADABLE
    if image is None:
        return InvalidReason.UNREADABLE
    if image.size > max_pixels:
        return InvalidReason.UNSUPPORTED
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype == np.uint16:
        return image.astype(np.uint16, copy=False)
    return InvalidReason.UNSUPPORTED


def _whole(data: bytes) -> bool:
    """Whether a JPEG or PNG file has its end mark; True for every other format."""
    return all(end in data[-_TAIL_BYTES:] for start, end in _ENDS if data.startswith(start))


def _natural(path: Path) -> list[tuple[list[tuple[int, str]], str]]:
    """Return a sort key that takes digits as numbers, folder by folder."""
    return [
        ([(int(digits or 0), text) for digits, text in re.findall(r"(\d+)|(\D+)", part)], part) for part in path.parts
    ]
