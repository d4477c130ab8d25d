"""Number a camera's exposures without a gap; what the device made and we never got is announced too. Pure."""

from collections.abc import Iterator

import numpy as np

from station.clock import Clock
from station.frame import Exposure, Frame, InvalidReason, Missing
from station.ledger import Ledger

__all__ = ["MAX_JUMP", "Sequencer"]

MAX_JUMP = 10_000
"""A larger jump of the device's counter, either way, is a counter that started anew and not so many frames."""

_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


class Sequencer:
    """Turns the exposures of one camera into frames, and into the news of frames that are missing."""

    def __init__(self, camera: str, ledger: Ledger, clock: Clock) -> None:
        self._camera = camera
        self._ledger = ledger
        self._clock = clock
        self._last_frame_id: int | None = None

    def reopened(self) -> None:
        """Forget the device's counter: a device that was away starts it anew."""
        self._last_frame_id = None

    def announce(self, exposure: Exposure) -> Iterator[Frame | Missing]:
        """Yield what `exposure` announces: frames lost before it, then itself as a frame or as missing.

        Nothing, or not all of it, once the ledger is full.
        """
        lost, repeated = self._compare(exposure.frame_id)
        if lost:
            yield from self._missing(exposure, InvalidReason.LOST, lost)
        if repeated:
            yield from self._missing(exposure, InvalidReason.REPEATED)
        elif exposure.fault is not None:
            yield from self._missing(exposure, exposure.fault)
        elif exposure.image is None:
            yield from self._missing(exposure, InvalidReason.UNREADABLE)
        elif exposure.image.ndim != 2 or exposure.image.dtype not in _TYPES or not exposure.image.size:
            yield from self._missing(exposure, InvalidReason.UNSUPPORTED)
        elif exposure.valid_rows is not None and exposure.valid_rows < exposure.image.shape[0]:
            yield from self._missing(exposure, InvalidReason.INCOMPLETE)
        else:
            for sequence in self._ledger.announce(self._camera):
                yield Frame(
                    camera=self._camera,
                    sequence=sequence,
                    image=exposure.image,
                    captured_ns=exposure.captured_ns,
                    captured_tick_ns=self._clock.tick_ns(),
                    clock=exposure.clock,
                    frame_id=exposure.frame_id,
                    encoder=exposure.encoder,
                    source=exposure.source,
                )

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

    def _missing(self, exposure: Exposure, reason: InvalidReason, count: int = 1) -> Iterator[Missing]:
        if granted := self._ledger.announce(self._camera, count):
            yield Missing(
                camera=self._camera,
                sequence=granted.start,
                reason=reason,
                captured_ns=exposure.captured_ns,
                captured_tick_ns=self._clock.tick_ns(),
                count=len(granted),
                frame_id=None if reason is InvalidReason.LOST else exposure.frame_id,
                source=exposure.source,
            )
