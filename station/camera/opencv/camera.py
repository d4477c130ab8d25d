"""V4L2 and UVC devices, and RTSP and HTTP streams, through OpenCV. Lives in the capture thread, which decodes."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self

import cv2

from shadowline.errors import CameraError
from station.camera.base import Found
from station.camera.opencv import v4l2
from station.camera.opencv.device import OpenCvDevice
from station.camera.opencv.stream import OpenCvStream
from station.clock import Clock
from station.config import OpenCvConfig
from station.frame import Exposure, Image, InvalidReason

__all__ = ["OpenCvCamera", "discover"]

_DEVICE_FEATURES = frozenset({"AcquisitionFrameRate", "Height", "Timestamp", "Width"})
_STREAM_FEATURES = frozenset({"Timestamp"})


class _Source(Protocol):
    """A device or a stream behind OpenCV. Each member may raise `CameraLost`."""

    def open(self) -> str:
        """Open and set it, and return its identity."""

    def grab(self, timeout_s: float) -> int | None:
        """Wait for a picture and return how many before it could not be decoded; None when the time is over."""

    def picture(self) -> tuple[Image | InvalidReason, int]:
        """Return the grabbed picture or why it is none, and its stamp in nanoseconds; 0 where there is none."""

    def close(self) -> None:
        """Close it, whatever happened before."""


class OpenCvCamera:
    """One device or one stream. Neither numbers its pictures: only their stamps tell an old one from a new one."""

    def __init__(self, config: OpenCvConfig, clock: Clock) -> None:
        self.features = _DEVICE_FEATURES if config.url is None else _STREAM_FEATURES
        self.identity = ""
        self._who = f"camera {config.name}"
        self._clock = clock
        self._source: _Source = (
            OpenCvDevice(config, self._who) if config.url is None else OpenCvStream(config, self._who, clock)
        )
        self._counters: dict[str, int] = {}

    @property
    def counters(self) -> Mapping[str, int]:
        """Return how many pictures came whole (`completed`) and how many could not be decoded (`failures`)."""
        return self._counters

    def __enter__(self) -> Self:
        self.identity = self._source.open()
        self._counters = {"completed": 0, "failures": 0}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()
        self._counters = {}

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        """Yield pictures as they come; from a device also None after `timeout_s` without one.

        A stream is lost after the configured `timeout_s` without a picture: OpenCV can't go on reading it then.
        """
        while True:
            if not self._counters:
                raise CameraError(f"{self._who}: is not open")
            spoilt = self._source.grab(timeout_s)
            if spoilt is None:
                yield None
                continue
            captured_ns = self._clock.utc_ns()
            for _ in range(spoilt):
                yield self._expose(captured_ns, InvalidReason.UNREADABLE, 0)
            yield self._expose(captured_ns, *self._decode())

    def _decode(self) -> tuple[Image | InvalidReason, int]:
        try:
            return self._source.picture()
        except cv2.error:
            return InvalidReason.UNREADABLE, 0

    def _expose(self, captured_ns: int, picture: Image | InvalidReason, device_ns: int) -> Exposure:
        if isinstance(picture, InvalidReason):
            self._counters["failures"] += 1
            return Exposure(None, None, captured_ns, fault=picture, device_ns=device_ns or None)
        self._counters["completed"] += 1
        return Exposure(picture, None, captured_ns, device_ns=device_ns or None)


def discover() -> list[Found]:
    """Return the video devices that take pictures; streams can't be found."""
    return [
        Found(
            driver="opencv",
            vendor=card.vendor,
            model=card.model,
            serial=card.serial,
            table={"type": "opencv", "device": card.lasting_name},
            address=card.bus,
        )
        for card in v4l2.list_cards()
    ]
