"""Grey pictures out of a library's buffers, at full scale in a buffer of our own. Lives in the capture thread."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from station.config import PixelFormat
from station.frame import Image

__all__ = ["GreyBuffer"]


class _Format(NamedTuple):
    code: int
    factor: int
    """What brings it to full scale."""


_FORMATS: dict[PixelFormat, _Format] = {
    "Mono8": _Format(0x0108_0001, 1),
    "Mono10": _Format(0x0110_0003, 64),
    "Mono12": _Format(0x0110_0005, 16),
    "Mono14": _Format(0x0110_0025, 4),
    "Mono16": _Format(0x0110_0007, 1),
}
"""The unpacked formats with their numbers in the GenICam Pixel Format Naming Convention."""


class GreyBuffer:
    """Copies pictures of one pixel format into one buffer, so that the library gets its own back at once.

    `dtype` is that of the library's pixels and of ours, `code` the number of the format (PFNC) that libraries give.
    The buffer is made anew only when the size changes.
    """

    def __init__(self, pixel_format: PixelFormat) -> None:
        self.dtype = np.dtype(np.uint8 if pixel_format == "Mono8" else np.uint16)
        self.code, self._factor = _FORMATS[pixel_format]
        self._buffer: NDArray[Any] = np.empty((0, 0), self.dtype)

    def take(self, pixels: NDArray[Any]) -> Image:
        """Return `pixels` (H×W of `dtype`, any strides) at full scale: read-only, valid until the next is taken."""
        if self._buffer.shape != pixels.shape:
            self._buffer = np.empty(pixels.shape, self.dtype)
        if self._factor == 1:
            np.copyto(self._buffer, pixels)
        else:
            np.multiply(pixels, self._factor, out=self._buffer)
        image = self._buffer.view()
        image.flags.writeable = False
        return image

    def take_rows(self, raw: memoryview | bytes, offset: int, height: int, width: int, stride: int) -> Image:
        """Do so with rows of `width` pixels that begin every `stride` bytes, the first at `offset` of `raw`.

        Raises `ValueError` when `raw` is too short for them.
        """
        flat = np.frombuffer(raw, np.uint8, height * stride, offset)
        rows = flat.reshape(height, stride)[:, : width * self.dtype.itemsize]
        return self.take(rows.view(self.dtype))
