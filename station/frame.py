"""What a camera delivers and what the station makes of it: `Exposure`, `Frame`, `Missing`. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClockName", "Exposure", "Frame", "Image", "InvalidReason", "Missing"]

Image: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""H×W, mono. uint16 is full scale: a driver shifts 10 and 12 bit pictures up to 16."""

ClockName: TypeAlias = Literal["host", "camera"]


class InvalidReason(StrEnum):
    """Why a frame could not be inspected. Each is a label of the `invalid` counters."""

    LOST = "lost"  # the camera's own counter jumped: it made the frame, we never got it
    INCOMPLETE = "incomplete"  # rows are missing
    UNREADABLE = "unreadable"  # a picture file that can't be decoded
    UNSUPPORTED = "unsupported"  # a picture of a size or pixel type that the station does not take
    REPEATED = "repeated"  # the camera delivered a frame that it had delivered before
    OVERRUN = "overrun"  # the queue was full: inspection is slower than the camera
    DARK = "dark"  # too dark to tell anything: lamp off, shutter closed
    OVERFULL = "overfull"  # too many regions, or too much of the frame, to be a surface with defects
    CALIBRATION = "calibration"  # the frame is not the size that its flat field was made for
    ENGINE = "engine"  # the engine raised
    NOT_FINITE = "not_finite"  # the engine answered with NaN or infinity


@dataclass(frozen=True, slots=True)
class Exposure:
    """One picture as a driver delivers it, or the news that one could not be read.

    `image` belongs to the driver and is valid until the next one is asked for; None when `fault` says why there is
    none. `frame_id` is the device's own counter: a jump in it becomes announced lost frames, a standstill repeated
    ones; None where the device has no counter. `valid_rows` below the height means an incomplete picture.
    `captured_ns` is UTC by `clock`. `encoder` is the raw count at capture. `source` names a file, where there is one.
    """

    image: Image | None
    frame_id: int | None
    captured_ns: int
    clock: ClockName = "host"
    valid_rows: int | None = None
    encoder: int | None = None
    source: str | None = None
    fault: InvalidReason | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One announced frame with its picture, to be inspected.

    `image` is read-only and lives in a buffer of the frame queue until the frame is given back. `sequence` counts
    this camera's announced frames without a gap. `captured_tick_ns` is the monotonic clock when the picture arrived;
    latencies count from it.
    """

    camera: str
    sequence: int
    image: Image
    captured_ns: int
    captured_tick_ns: int
    clock: ClockName = "host"
    frame_id: int | None = None
    encoder: int | None = None
    source: str | None = None

    def with_image(self, image: Image) -> "Frame":
        """Return this frame with another array for its picture."""
        return Frame(
            self.camera,
            self.sequence,
            image,
            self.captured_ns,
            self.captured_tick_ns,
            self.clock,
            self.frame_id,
            self.encoder,
            self.source,
        )


@dataclass(frozen=True, slots=True)
class Missing:
    """A run of announced frames without a picture: `count` frames from `sequence` on, all for one reason."""

    camera: str
    sequence: int
    reason: InvalidReason
    captured_ns: int
    captured_tick_ns: int
    count: int = 1
    frame_id: int | None = None
    source: str | None = None
