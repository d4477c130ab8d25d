"""A V4L2 or UVC device through OpenCV, as grey. Lives in the capture thread."""

import os
from typing import Any

import cv2
from numpy.typing import NDArray

from shadowline.errors import CameraError, CameraLost
from station.camera.opencv import v4l2
from station.camera.opencv.common import JPEG, decode_jpeg, pixel_format, read_only, silence_opencv
from station.config import OpenCvConfig
from station.frame import Image, InvalidReason

__all__ = ["OpenCvDevice"]

_GREY = ("GREY", "Y16 ")
_LUMA = {"YUYV": cv2.COLOR_YUV2GRAY_YUYV, "UYVY": cv2.COLOR_YUV2GRAY_UYVY}
_RAW = (*_GREY, *_LUMA, JPEG)

_FIRST_PICTURE_S = "2"
_NEAR = 0.02  # a device makes 29.97 of 30


class OpenCvDevice:
    """Its grey is the luma as the device gives it; only formats without luma are converted by way of colour.

    Stamps are the kernel's, of `CLOCK_MONOTONIC`.
    """

    def __init__(self, config: OpenCvConfig, who: str) -> None:
        self._config = config
        self._who = who
        self._capture = cv2.VideoCapture()
        self._name = ""
        self._pixels = ""
        self._raw: NDArray[Any] | None = None
        self._grey: NDArray[Any] | None = None

    def open(self) -> str:
        """Open and set the device, see that it streams, and return its identity.

        Raises `CameraError` naming the first setting that it did not take.
        """
        assert self._config.device is not None
        silence_opencv()
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", _FIRST_PICTURE_S)  # OpenCV asks at its first wait
        card = v4l2.look(self._config.device, self._who)
        self._name = f"{card.node} ({card.model})"
        v4l2.set_controls(card, self._config.controls, self._who)
        if not self._capture.open(card.number, cv2.CAP_V4L2):
            raise CameraLost(f"{self._who}: {self._name} can't be opened: does another program use it?")
        self._set_pixels(card)
        self._set_size()
        self._set_rate()
        self._capture.set(cv2.CAP_PROP_CONVERT_RGB, int(self._pixels not in _RAW))
        self._wait(1)  # the first wait starts the device and lasts until there is a picture
        return " ".join(filter(None, (card.vendor, card.model, card.serial or card.bus)))

    def grab(self, timeout_s: float) -> int | None:
        """Wait for a picture, exactly so long at most, and take it; None when there is none."""
        if not self._wait(max(1, round(timeout_s * 1e9))):
            return None
        if not self._capture.grab():
            raise self._lost()
        return 0

    def picture(self) -> tuple[Image | InvalidReason, int]:
        """Return the picture as grey, in a buffer that the next one is put into, and its stamp."""
        device_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        got, self._raw = self._capture.retrieve(self._raw)
        if not got or self._raw is None:
            return InvalidReason.UNREADABLE, device_ns
        return self._to_grey(self._raw), device_ns

    def close(self) -> None:
        """Release the device."""
        self._capture.release()

    def _to_grey(self, raw: NDArray[Any]) -> Image | InvalidReason:
        if self._pixels == JPEG:
            return decode_jpeg(raw)
        if self._pixels in _GREY:
            return read_only(raw)
        code = _LUMA.get(self._pixels, cv2.COLOR_BGR2GRAY)
        self._grey = cv2.cvtColor(raw, code, self._grey)
        return read_only(self._grey)

    def _wait(self, timeout_ns: int) -> bool:
        try:
            return cv2.VideoCapture.waitAny([self._capture], timeout_ns)[0]
        except cv2.error as error:
            raise self._lost() from error

    def _lost(self) -> CameraLost:
        return CameraLost(f"{self._who}: {self._name} gives no pictures: was it unplugged?")

    def _set_pixels(self, card: v4l2.Card) -> None:
        wanted = self._config.fourcc
        if wanted is not None:
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted))
        self._pixels = pixel_format(self._capture)
        if wanted not in (None, self._pixels):
            offered = ", ".join(v4l2.offered_formats(card, self._who))
            raise CameraError(f"{self._who}: fourcc = {wanted}: {self._name} offers {offered}")

    def _set_size(self) -> None:
        config, capture = self._config, self._capture
        sides = (
            ("width_px", config.width_px, cv2.CAP_PROP_FRAME_WIDTH),
            ("height_px", config.height_px, cv2.CAP_PROP_FRAME_HEIGHT),
        )
        if config.width_px or config.height_px:
            for _, wanted, side in sides:  # OpenCV sets them once it has both
                capture.set(side, wanted or capture.get(side))
        for name, wanted, side in sides:
            if wanted is not None and (became := round(capture.get(side))) != wanted:
                raise CameraError(f"{self._who}: {name} = {wanted}: {self._name} made it {became}")

    def _set_rate(self) -> None:
        wanted_hz = self._config.rate_hz
        if wanted_hz is None:
            return
        self._capture.set(cv2.CAP_PROP_FPS, wanted_hz)
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        if abs(rate_hz - wanted_hz) > _NEAR * wanted_hz:
            raise CameraError(f"{self._who}: rate_hz = {wanted_hz:g}: {self._name} made it {rate_hz:g}")
