"""The pixels that a decision is about, cut out of what the archive has by the station's own crop function. Pure but
for reading.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from shadowline.errors import StationError
from station.archive.export import as_8_bits, read_picture
from station.archive.pictures import encode_crop
from station.console.teach.item import Box, Item
from station.crops import crop_square

__all__ = ["cut_out"]

_CUT: Final = CropCut(size_px=128, context=1.5, min_side_px=96)
"""How training cuts where nothing else is said; for boxes that somebody drew."""
_LEAST_PX: Final = 4


@dataclass(frozen=True, slots=True)
class _View:
    """A picture, and where its pixels lie in the frame."""

    image: NDArray[np.uint8]
    left: int
    top: int
    scale: int


def cut_out(item: Item, place: Path | None, sent: bytes | None, box: Box | None) -> tuple[bytes, Box]:
    """Return the PNG to learn from, and what it shows of the frame.

    For a region as it was found this is the square that the network saw, bit by bit as the archive has it. For another
    `box` it is cut out of the whole frame, or of that square where no frame was kept. `sent` is the PNG of a picture
    that somebody sent. Raises `StationError` where the picture is gone or the box lies outside of it.
    """
    if item.crop is not None and place is not None and box in (None, item.source.region_px):
        return as_8_bits(read_picture(place, item.crop)), item.crop.box_px
    view = _view(item, place, sent)
    height, width = view.image.shape
    if box is None:
        return _whole(view), (view.left, view.top, width * view.scale, height * view.scale)
    inside = _inside(box, view)
    left, top, right, bottom = crop_square(inside, _CUT, width, height)
    content = encode_crop(view.image, 0, (left, top, right, bottom))[1]
    shown = (left, top, right - left, bottom - top)
    x, y, w, h = (side * view.scale for side in shown)
    return content, (x + view.left, y + view.top, w, h)


def _view(item: Item, place: Path | None, sent: bytes | None) -> _View:
    """Return the widest picture of an item."""
    if sent is not None:
        return _View(_decode(as_8_bits(sent)), 0, 0, 1)
    picture = item.frame or item.crop
    if picture is None or place is None:
        raise StationError("nothing was kept of this picture: skip it")
    return _View(_decode(as_8_bits(read_picture(place, picture))), picture.box_px[0], picture.box_px[1], picture.scale)


def _decode(content: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise StationError("this picture is damaged: skip it")
    return np.asarray(image, np.uint8)


def _whole(view: _View) -> bytes:
    return cv2.imencode(".png", view.image)[1].tobytes()


def _inside(box: Box, view: _View) -> Box:
    """Return the part of `box` that lies in the picture, in the picture's pixels."""
    height, width = view.image.shape
    x, y, w, h = box
    left, top = max((x - view.left) // view.scale, 0), max((y - view.top) // view.scale, 0)
    right = min(-(-(x + w - view.left) // view.scale), width)
    bottom = min(-(-(y + h - view.top) // view.scale), height)
    if right - left < _LEAST_PX or bottom - top < _LEAST_PX:
        raise StationError("the box lies outside of the picture, or is too small: draw it again")
    return left, top, right - left, bottom - top
