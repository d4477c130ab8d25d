"""An RTSP or HTTP stream through OpenCV, as grey. Lives in the capture thread, which decodes."""

import os
import threading
from typing import Any

import cv2
from numpy.typing import NDArray

from shadowline.errors import CameraError, CameraLost
from station.camera.opencv import address
from station.camera.opencv.common import JPEG, decode_jpeg, pixel_format, read_only, silence_opencv
from station.clock import Clock
from station.config import OpenCvConfig
from station.frame import Image, InvalidReason

__all__ = ["OpenCvStream"]

_OPTIONS = "rtsp_transport;{transport}|fpsprobesize;0"  # else a second of pictures is held back to guess the rate
_options_lock = threading.Lock()


class OpenCvStream:
    """Its grey is the luma of JPEGs, and weighed from the colours of everything else.

    OpenCV scales the latter to the size that they had first, and hides what the network lost of them. Stamps are those
    of RTSP, and count from the opening; over HTTP there are none, for FFmpeg would count by a rate that it guesses.
    """

    def __init__(self, config: OpenCvConfig, who: str, clock: Clock) -> None:
        assert config.url is not None
        self._config = config
        self._url = config.url
        self._who = who
        self._clock = clock
        self._capture = cv2.VideoCapture()
        self._jpegs = False
        self._got: NDArray[Any] | None = None
        self._grey: NDArray[Any] | None = None

    def open(self) -> str:
        """Open the stream and return its address, as it may be shown."""
        if not address.is_address(self._url):
            raise CameraError(f"{self._who}: url must be rtsp://host/path or http://host/path")
        silence_opencv()
        user = self._config.user or ""
        password = self._config.password.get_secret_value() if self._config.password else ""
        if not self._connect(address.with_login(self._url, user, password)):
            raise self._lost(address.why_not(self._url, had_login=bool(user or password)))
        self._jpegs = pixel_format(self._capture) == JPEG
        if self._jpegs:
            self._capture.set(cv2.CAP_PROP_FORMAT, -1)  # as they are: its own decoder hides what they lack
        return address.shown(self._url)

    def grab(self, timeout_s: float) -> int:
        """Wait for a picture as long as configured, and return how many before it could not be decoded.

        Never comes back without one: once OpenCV's wait has ended in vain its decoder takes nothing more.
        """
        began_ns = self._clock.tick_ns()
        if self._capture.grab():
            return 0
        waited_s = (self._clock.tick_ns() - began_ns) / 1e9
        if waited_s >= self._config.timeout_s:
            raise self._lost(f"no picture for {self._config.timeout_s:g} s")
        if self._capture.grab():
            return 1
        raise self._lost("the stream ended")

    def picture(self) -> tuple[Image | InvalidReason, int]:
        """Return the picture as grey, in a buffer that the next one is put into, and its stamp."""
        stamp_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC) if address.has_stamps(self._url) else 0.0
        device_ns = round(stamp_ms * 1e6)
        there, self._got = self._capture.retrieve(self._got)
        if not there or self._got is None:
            return InvalidReason.UNREADABLE, device_ns
        if self._jpegs:
            return decode_jpeg(self._got), device_ns
        self._grey = cv2.cvtColor(self._got, cv2.COLOR_BGR2GRAY, self._grey)
        return read_only(self._grey), device_ns

    def close(self) -> None:
        """Leave the stream."""
        self._capture.release()

    def _connect(self, address: str) -> bool:
        config = self._config
        settings = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(config.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(config.timeout_s * 1000)),
            *(cv2.CAP_PROP_N_THREADS, 1),  # more decode ahead, and hold pictures back for it
        ]
        with _options_lock:  # OpenCV takes these from the process; it opens one stream after the other anyhow
            os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _OPTIONS.format(transport=config.transport)
            return self._capture.open(address, cv2.CAP_FFMPEG, settings)

    def _lost(self, what: str) -> CameraLost:
        return CameraLost(f"{self._who}: {address.shown(self._url)}: {what}")
