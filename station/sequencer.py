"""Number a camera's exposures without a gap; what the device made and we never got is announced too. Pure."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from station.clock import Clock
from station.config import CameraBase
from station.device_clock import DeviceClock
from station.frame import ClockName, Exposure, Frame, Image, InvalidReason, Missing, Piece, Position
from station.ledger import Ledger

__all__ = ["MAX_JUMP", "Locate", "PieceAt", "Sequencer"]

MAX_JUMP = 10_000
"""A larger jump of the device's counter, either way, is a counter that started anew and not so many frames."""

Locate: TypeAlias = Callable[[int | None, int], Position | None]
"""Called with the encoder count of a picture, where it has one, and the tick at which it was taken."""

PieceAt: TypeAlias = Callable[[int], Piece]
"""Called with the tick at which a picture was taken."""

_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))
_COMPARED_ROWS = 8  # every so-manieth row is compared: a sensor's noise makes no two of them equal


class Sequencer:
    """Turns the exposures of one camera into frames, and into the news of frames that are missing."""

    def __init__(
        self,
        config: CameraBase,
        ledger: Ledger,
        clock: Clock,
        locate: Locate,
        piece_at: PieceAt = lambda tick_ns: Piece(),
    ) -> None:
        self._config = config
        self._camera = config.name
        self._ledger = ledger
        self._clock = clock
        self._locate = locate
        self._piece_at = piece_at
        self.reopened()

    def reopened(self) -> None:
        """Forget the device's counter and clock: a device that was away starts them anew."""
        self._last_frame_id: int | None = None
        self._last_device_ns: int | None = None
        self._device_clock = DeviceClock()
        self._sample: Image | None = None

    def announce(self, exposure: Exposure) -> Iterator[Frame | Missing]:
        """Yield what `exposure` announces: frames lost before it, then itself as a frame or as missing.

        Nothing, or not all of it, once the ledger is full.
        """
        tick_ns, age_ns = self._clock.tick_ns(), 0
        again = exposure.device_ns is not None and exposure.device_ns == self._last_device_ns
        if exposure.device_ns is not None:
            age_ns = self._device_clock.age_ns(exposure.device_ns, tick_ns)
            self._last_device_ns = exposure.device_ns
        lost, repeated = self._compare(exposure.frame_id)
        if lost:
            yield from self._missing(exposure, InvalidReason.LOST, tick_ns, lost)
        reason = InvalidReason.REPEATED if again or repeated else self._fault_of(exposure, age_ns)
        if reason is not None:
            yield from self._missing(exposure, reason, tick_ns)
        elif exposure.image is not None:
            yield from self._frame(exposure, exposure.image, tick_ns, age_ns)

    def _fault_of(self, exposure: Exposure, age_ns: int) -> InvalidReason | None:
        """Return why the picture is not worth inspecting; None for a good one."""
        image = exposure.image
        if exposure.fault is not None or image is None:
            return exposure.fault or InvalidReason.UNREADABLE
        if image.ndim != 2 or image.dtype not in _TYPES or not image.size:
            return InvalidReason.UNSUPPORTED
        if exposure.valid_rows is not None and exposure.valid_rows < image.shape[0]:
            return InvalidReason.INCOMPLETE
        if age_ns > self._config.stale_after_s * 1e9:
            return InvalidReason.STALE
        if self._config.find_repeats and self._looks_the_same(image):
            return InvalidReason.REPEATED
        return None

    def _looks_the_same(self, image: Image) -> bool:
        """Whether the picture before was equal; keep this one's sample."""
        sample, before = image[::_COMPARED_ROWS], self._sample
        if before is not None and before.shape == sample.shape and before.dtype == sample.dtype:
            if np.array_equal(before, sample):
                return True
            np.copyto(before, sample)
        else:
            self._sample = sample.copy()
        return False

    def _compare(self, frame_id: int | None) -> tuple[int, bool]:
        """Return how many frames the device made before this one unseen, and whether we had this one already."""
        last = self._last_frame_id
        if frame_id is None:
            return 0, False
        if last is None or abs(frame_id - last) > MAX_JUMP:
            self._last_frame_id = frame_id
            return 0, False
        if frame_id <= last:
            return 0, True
        self._last_frame_id = frame_id
        return frame_id - last - 1, False

    def _frame(self, exposure: Exposure, image: Image, tick_ns: int, age_ns: int) -> Iterator[Frame]:
        by: ClockName = exposure.clock if exposure.device_ns is None else "camera"
        for sequence in self._ledger.announce(self._camera):
            yield Frame(
                camera=self._camera,
                sequence=sequence,
                image=image,
                captured_ns=exposure.captured_ns - age_ns,
                captured_tick_ns=tick_ns - age_ns,
                clock=by,
                frame_id=exposure.frame_id,
                encoder=exposure.encoder,
                source=exposure.source,
                line_status=exposure.line_status,
                position=self._locate(exposure.encoder, tick_ns - age_ns),
                piece=self._piece_at(tick_ns - age_ns),
            )

    def _missing(self, exposure: Exposure, reason: InvalidReason, tick_ns: int, count: int = 1) -> Iterator[Missing]:
        itself = reason is not InvalidReason.LOST
        if granted := self._ledger.announce(self._camera, count):
            yield Missing(
                camera=self._camera,
                sequence=granted.start,
                reason=reason,
                captured_ns=exposure.captured_ns,
                captured_tick_ns=tick_ns,
                count=len(granted),
                frame_id=exposure.frame_id if itself else None,
                source=exposure.source,
                valid_rows=exposure.valid_rows if itself else None,
                piece=self._piece_at(tick_ns),
            )
