"""From a frame to the input of a network that looks at whole frames, in serving as in training. Pure."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from station.frame import Image
from station.regions.tiles import Tiling

__all__ = ["Reducer", "make_halves", "reduce_image", "reduced_px"]


def reduced_px(shape: tuple[int, ...], scale: tuple[float, float]) -> tuple[int, int]:
    """Return height and width of an image of `shape` where `scale` of its pixels, x and y, are one."""
    return max(1, round(shape[0] / scale[1])), max(1, round(shape[1] / scale[0]))


def reduce_image(
    image: NDArray[np.uint8], out: NDArray[np.uint8], halves: Sequence[NDArray[np.uint8]] | None = None
) -> None:
    """Fill `out` with `image` at another size: halved by area while it is twice too large, then resized linearly.

    So no pixel is skipped, at a tenth of the time of one resize by area. `halves` are buffers from `make_halves`.
    """
    for half in make_halves(image.shape, out.shape) if halves is None else halves:
        height, width = half.shape
        cv2.resize(image[: 2 * height, : 2 * width], (width, height), half, interpolation=cv2.INTER_AREA)
        image = half
    if image.shape == out.shape:
        np.copyto(out, image)
    else:
        cv2.resize(image, out.shape[::-1], out, interpolation=cv2.INTER_LINEAR)


def make_halves(shape: tuple[int, ...], out: tuple[int, ...]) -> list[NDArray[np.uint8]]:
    """Return the buffers between an image of `shape` and one of `out`."""
    height, width = shape
    halves = []
    while height >= 2 * out[0] and width >= 2 * out[1]:
        height, width = height // 2, width // 2
        halves.append(np.empty((height, width), np.uint8))
    return halves


class Reducer:
    """Brings frames of one size and type to a network's tiles, in buffers of its own. uint16 keeps its upper 8 bits."""

    def __init__(self, image: Image, tiling: Tiling) -> None:
        height, width = tiling.frame_px
        self._canvas = np.zeros(tiling.canvas_px, np.uint8)
        self._frame = self._canvas[:height, :width]
        self._halves = make_halves(image.shape, tiling.frame_px)
        self._upper = np.empty(image.shape if image.dtype == np.uint16 else (0, 0), np.uint8)
        tile_height, tile_width = tiling.tile_px
        self._parts = [self._canvas[y : y + tile_height, x : x + tile_width] for y, x in tiling.starts]
        self._tiles: NDArray[np.uint8] = self._canvas[None, None]
        if tiling.count > 1:
            self._tiles = np.empty((tiling.count, 1, *tiling.tile_px), np.uint8)

    @property
    def level(self) -> float:
        """Mean grey level of the last frame."""
        return cv2.mean(self._frame)[0]

    def fill(self, image: Image) -> NDArray[np.uint8]:
        """Return `image` as tiles uint8 [n,1,h,w], overwritten by the next call."""
        reduce_image(self._as_uint8(image), self._frame, self._halves)
        height, width = self._frame.shape
        self._canvas[:height, width:] = self._frame[:, -1:]
        self._canvas[height:] = self._canvas[height - 1]
        if len(self._parts) > 1:
            for tile, part in zip(self._tiles, self._parts, strict=True):
                tile[0] = part
        return self._tiles

    def _as_uint8(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        if image.dtype == np.uint8:
            return image
        np.right_shift(image, 8, out=self._upper, casting="unsafe")
        return self._upper
