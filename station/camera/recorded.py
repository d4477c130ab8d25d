"""The order and the times of a recording that is played as a camera. Lives in the capture thread."""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import msgspec

from station.clock import Clock
from station.frame import InvalidReason
from station.recording import Shot, read_shots

__all__ = ["Schedule", "play"]

_USUAL_GAP_NS = 100_000_000  # from round to round of a recording that has not two times

_DAMAGED = Shot(captured_ns=0, fault=InvalidReason.UNREADABLE)


class Schedule:
    """When the next picture is due: so long after the one before as it was taken after it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_ns = clock.tick_ns()

    def wait(self, deadline_ns: int) -> bool:
        """Sleep until the next picture is due; False if the tick `deadline_ns` comes first."""
        self._clock.sleep((min(self._due_ns, deadline_ns) - self._clock.tick_ns()) / 1e9)
        return self._due_ns <= deadline_ns

    def put_off(self, gap_ns: int) -> None:
        """Let the next picture be due `gap_ns` after the one before."""
        self._due_ns += gap_ns


class _Onward:
    """A counter that goes on from round to round by the smallest step it made; so its wraps stay where they were."""

    def __init__(self) -> None:
        self._shift = 0
        self._first: int | None = None
        self._last = 0
        self._steps: list[int] = []

    def __call__(self, value: int | None) -> int | None:
        if value is None:
            return None
        if self._first is None:
            self._first = value
        elif value != self._last:
            self._steps = [min([*self._steps, value - self._last], key=abs)]
        self._last = value
        return value + self._shift

    def begin_again(self) -> None:
        if self._first is not None:
            self._shift += self._last - self._first + (self._steps or [1])[0]
        self._first = None


def play(folder: Path, loop: bool) -> Generator[tuple[Shot, int], None, None]:
    """Yield each shot and the nanoseconds from it to the next, for one round or for ever.

    Ends after a round without a line. A damaged line is a shot with a fault, due with the one before it. From round to
    round the counters go on. Raises OSError.
    """
    frame_id, device_ns, encoder = _Onward(), _Onward(), _Onward()
    while True:
        shot = None
        for shot, gap_ns in _with_gaps(read_shots(folder), loop):
            going_on = {
                "frame_id": frame_id(shot.frame_id),
                "device_ns": device_ns(shot.device_ns),
                "encoder": encoder(shot.encoder),
            }
            yield msgspec.structs.replace(shot, **going_on), gap_ns
        if shot is None or not loop:
            return
        for counter in (frame_id, device_ns, encoder):
            counter.begin_again()


def _with_gaps(shots: Iterable[Shot | None], loop: bool) -> Iterator[tuple[Shot, int]]:
    """Yield each shot with its time to the next; before another round the last one's is that of the last but one."""
    before: tuple[Shot, int] | None = None
    gap_ns = _USUAL_GAP_NS
    for shot, at_ns in _timed(shots):
        if before is not None:
            yield before[0], at_ns - before[1]
            gap_ns = at_ns - before[1] or gap_ns
        before = shot, at_ns
    if before is not None:
        yield before[0], gap_ns if loop else 0


def _timed(shots: Iterable[Shot | None]) -> Iterator[tuple[Shot, int]]:
    """Yield each shot with its time since the first. A clock that was set back stands still for one picture."""
    at_ns, last_ns = 0, None
    for shot in shots:
        if shot is not None:
            at_ns += max(0, shot.captured_ns - last_ns) if last_ns is not None else 0
            last_ns = shot.captured_ns
        yield shot or _DAMAGED, at_ns
