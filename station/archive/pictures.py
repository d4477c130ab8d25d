"""Encode what is kept of a frame. Pure."""

import hashlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from station.archive.evidence import Picture
from station.archive.handover import Square
from station.frame import Image

__all__ = ["encode_crop", "encode_frame", "encode_live"]

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
_LIVE_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80]
_LIVE_WIDTH_PX = 960
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
_MOST_SIDE_PX = 512
"""A picture is halved while it is twice as wide as this; no model's crop is wider, so none sees less by it."""


def encode_frame(image: Image) -> tuple[Picture, bytes]:
    """Return the whole of `image` as JPEG; uint16 keeps its upper 8 bits, which is all that JPEG has."""
    content = _encode(".jpg", _in_8_bits(image), _JPEG)
    height, width = image.shape
    return _describe("frame.jpg", (0, 0, width, height), 1, content, None), content


def encode_crop(image: Image, defect: int, square: Square) -> tuple[Picture, bytes]:
    """Return the `square` that the network's crop was cut from, without loss: pixels of the frame itself.

    `cut_crops` makes of the whole picture the very crop that the network saw.
    """
    left, top, right, bottom = square
    part: NDArray[Any] = image[top:bottom, left:right]
    scale = 1
    while min(part.shape) >= 2 * _MOST_SIDE_PX:
        rows, columns = part.shape[0] // 2, part.shape[1] // 2
        part = cv2.resize(part[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)
        scale *= 2
    content = _encode(".png", part, _PNG)
    shown = (left, top, right - left, bottom - top)
    return _describe(f"crop-{defect:03d}.png", shown, scale, content, defect), content


def encode_live(image: Image) -> bytes:
    """Return the whole of `image` as JPEG for a screen, at most 960 px wide."""
    height, width = image.shape
    if width > _LIVE_WIDTH_PX:
        size = (_LIVE_WIDTH_PX, max(1, round(height * _LIVE_WIDTH_PX / width)))
        return _encode(".jpg", cv2.resize(_in_8_bits(image), size, interpolation=cv2.INTER_AREA), _LIVE_JPEG)
    return _encode(".jpg", _in_8_bits(image), _LIVE_JPEG)


def _in_8_bits(image: Image) -> NDArray[np.uint8]:
    return (image if image.dtype == np.uint8 else image >> 8).astype(np.uint8, copy=False)


def _encode(suffix: str, image: NDArray[Any], options: list[int]) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def _describe(file: str, box_px: tuple[int, int, int, int], scale: int, content: bytes, defect: int | None) -> Picture:
    return Picture(file, box_px, scale, len(content), hashlib.sha256(content).hexdigest(), defect)
