"""What a picture says of light and focus, for somebody who turns lamp and lens meanwhile. Pure."""

import base64
from typing import Any, Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from shadowline.errors import PictureError
from station.camera.pictures import decode_picture
from station.frame import InvalidReason

__all__ = ["PictureFigures", "figures_of"]

_MOST_PIXELS: Final = 100_000_000
_BINS: Final = 64
_COLUMNS: Final = 64
_SHOWN_PX: Final = 960
_WHITE: Final = 254
_BLACK: Final = 1


class PictureFigures(msgspec.Struct, frozen=True):
    """Levels are 8-bit grey levels, shares from 0 to 1."""

    histogram: list[float]
    """Share of the pixels in each of 64 steps of grey."""
    across: list[float]
    """Median level of each of up to 64 strips, from left to right."""
    mean_level: float
    clipped: float
    """Share of pixels that are white."""
    black: float
    sharpness: float
    """Mean square of the slope over the square of the mean level, in percent: the light alone does not change it."""
    jpeg: str
    """The picture, not larger than a screen, in base64."""


def figures_of(content: bytes) -> PictureFigures:
    """Return the figures of a picture file. Raises `PictureError` where it is none."""
    image = decode_picture(content, _MOST_PIXELS)
    if isinstance(image, InvalidReason):
        raise PictureError("the newest picture can't be decoded")
    grey: NDArray[Any] = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel() / grey.size
    strips = np.array_split(grey, min(_COLUMNS, grey.shape[1]), axis=1)
    return PictureFigures(
        histogram=np.round(counts.reshape(_BINS, -1).sum(1), 6).tolist(),
        across=[round(float(np.median(strip)), 1) for strip in strips],
        mean_level=round(float(grey.mean()), 2),
        clipped=round(float(counts[_WHITE:].sum()), 6),
        black=round(float(counts[: _BLACK + 1].sum()), 6),
        sharpness=round(_sharpness(grey), 4),
        jpeg=base64.b64encode(_shown(grey)).decode(),
    )


def _sharpness(grey: NDArray[Any]) -> float:
    right = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)
    return float(100 * (cv2.mean(right * right)[0] + cv2.mean(down * down)[0]) / max(float(grey.mean()), 1.0) ** 2)


def _shown(grey: NDArray[Any]) -> bytes:
    scale = _SHOWN_PX / max(grey.shape)
    if scale < 1:
        size = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
