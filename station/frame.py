"""What a camera delivers and what the station makes of it: `Exposure`, `Frame`, `Missing`. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClockName", "Exposure", "Frame", "Image", "InvalidReason", "Missing", "Piece", "Position"]

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
    STALE = "stale"  # the picture was taken long before it came
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
    none. `frame_id` is the device's own counter, its wraps undone by the driver: a jump in it becomes announced lost
    frames, a standstill repeated ones; None where the device has no counter. `valid_rows` below the height means an
    incomplete picture. `captured_ns` is UTC by `clock`. `device_ns` is the device's own stamp, of any origin, where it
    makes one: it tells an old picture from a new one. `encoder` is the raw count at capture, `line_status` the state
    of the device's input lines. `source` names a file, where there is one.
    """

    image: Image | None
    frame_id: int | None
    captured_ns: int
    clock: ClockName = "host"
    valid_rows: int | None = None
    encoder: int | None = None
    source: str | None = None
    fault: InvalidReason | None = None
    device_ns: int | None = None
    line_status: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where the strip stood: `mm` of it had passed the zero mark since the coil `coil` began.

    `count` is what the counter shows there. `reversed` says that the strip stands behind the farthest point that
    it had reached: those millimetres were seen before.
    """

    mm: float
    count: int | None = None
    coil: str = ""
    reversed: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """What a picture is of: the ids of the part and of the job that ran at its capture; empty for none."""

    part: str = ""
    job: str = ""


_NO_PIECE = Piece()


@dataclass(frozen=True, slots=True)
class Frame:
    """One announced frame with its picture, to be inspected.

    `image` is read-only and lives in a buffer of the frame queue until the frame is given back; its first
    `overlap_rows` rows are the last ones of the frame before. `sequence` counts this camera's announced frames without
    a gap. `captured_tick_ns` is the monotonic clock when the picture was taken, as far as the camera's stamps tell,
    else when it arrived; latencies count from it. `position` is that of the first row.
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
    line_status: int | None = None
    position: Position | None = None
    overlap_rows: int = 0
    piece: Piece = _NO_PIECE


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
    valid_rows: int | None = None
    piece: Piece = _NO_PIECE
