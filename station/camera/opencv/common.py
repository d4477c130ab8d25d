"""What the drivers over OpenCV share. Pure, but for the process's settings of OpenCV."""

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from station.frame import Image, InvalidReason

__all__ = ["JPEG", "decode_jpeg", "pixel_format", "read_only", "silence_opencv"]

JPEG = "MJPG"
"""Pixel format of pictures that are JPEGs."""

_SILENT = 0  # OpenCV's LOG_LEVEL_SILENT
_QUIET = "-8"  # FFmpeg's AV_LOG_QUIET
_JPEG_END = b"\xff\xd9"


def silence_opencv() -> None:
    """Keep the warnings of OpenCV and its FFmpeg off stderr; what they say becomes a fault or an error."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _QUIET)  # asked for once, at the first use of FFmpeg
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    set_level(_SILENT)


def read_only(image: NDArray[Any]) -> NDArray[Any]:
    """Return a view of `image` that can't be written to."""
    view = image.view()
    view.flags.writeable = False
    return view


def pixel_format(capture: cv2.VideoCapture) -> str:
    """Return the four characters that name the pixel format or the codec of what comes."""
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace")


def decode_jpeg(data: NDArray[Any]) -> Image | InvalidReason:
    """Return the luma of a JPEG. One that was cut short decodes too, with rows that nobody saw: it is incomplete."""
    if not data.tobytes().rstrip(b"\0").endswith(_JPEG_END):
        return InvalidReason.INCOMPLETE
    grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return InvalidReason.UNREADABLE if grey is None else read_only(np.asarray(grey, np.uint8))
