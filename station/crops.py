"""Cut the crops that the network sees out of an image. Pure. The only way to make a crop, in training and serving."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from station.frame import Image

__all__ = ["crop_square", "cut_crops", "whole_image"]


def whole_image(image: Image) -> NDArray[np.int32]:
    """Return the one box, int32 [1,4], that takes all of `image` as one region."""
    return np.array([[0, 0, image.shape[1], image.shape[0]]], np.int32)


def cut_crops(image: Image, boxes: NDArray[np.int32], cut: CropCut, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill `out` with one crop a box and return the filled part, uint8 [n,1,S,S].

    `boxes` is int32 [n,4] of x, y, w, h; n may not exceed `len(out)`. A square of `context` times the box's longer
    side, at least `min_side_px`, is centred on the box, pushed inside the image, and cut to it where the image is
    smaller; so no pixel is made up, and the box of a whole picture is the whole picture. It is halved by area while
    it is twice too large, then resized linearly: nothing is skipped, at a sixth of the time of one area resize.
    uint16 keeps its upper 8 bits, whatever the picture holds.
    """
    height, width = image.shape
    size = (cut.size_px, cut.size_px)
    for index, (x, y, w, h) in enumerate(boxes.tolist()):
        left, top, right, bottom = crop_square((x, y, w, h), cut, width, height)
        part = _as_uint8(image[top:bottom, left:right])
        while min(part.shape) >= 2 * cut.size_px:
            rows, columns = part.shape[0] // 2, part.shape[1] // 2
            part = _as_uint8(cv2.resize(part[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA))
        cv2.resize(part, size, out[index, 0], interpolation=cv2.INTER_LINEAR)
    return out[: len(boxes)]


def crop_square(box_px: tuple[int, int, int, int], cut: CropCut, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what `cut_crops` takes of a frame of `width` x `height` for a box."""
    x, y, w, h = box_px
    side = max(round(cut.context * max(w, h)), cut.min_side_px)
    left, right = _span(x + w / 2, side, width)
    top, bottom = _span(y + h / 2, side, height)
    return left, top, right, bottom


def _span(centre: float, side: int, limit: int) -> tuple[int, int]:
    """Return start and end of `side` pixels around `centre`, pushed inside 0..limit."""
    start = min(max(round(centre - side / 2), 0), max(limit - side, 0))
    return start, min(start + side, limit)


def _as_uint8(part: NDArray[Any]) -> NDArray[np.uint8]:
    """Return `part` itself if it is uint8, else its upper 8 bits."""
    return part if part.dtype == np.uint8 else (part >> 8).astype(np.uint8)
