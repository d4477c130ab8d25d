"""Where the strip is: counts or time into millimetres since its zero. Pure state behind a lock; any thread."""

import threading
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

from station.camera.wrap import Unwrap
from station.clock import Clock
from station.config import EncoderConfig, LineConfig, LineSpeed
from station.config.line import EncoderBase
from station.frame import Position

__all__ = ["Odometer"]

_READINGS = 2048
_COILS = 16
_SPEED_OVER_NS = 50_000_000  # readings may come in bursts: over less than this they make no speed
_LATE_S = 0.1  # a reading may be told so much later than it was made, and look as if the strip had leapt


@dataclass(frozen=True, slots=True)
class _Point:
    """A point of the way, as heard at `tick_ns` or reckoned from there. `high` is the furthest until then."""

    tick_ns: int
    count: int
    way: float
    high: float


@dataclass(frozen=True, slots=True)
class _Zero:
    tick_ns: int
    way: float
    coil: str


class Odometer:
    """The way of one counter, or of a kept speed; the zero is its first reading, or the start, until a coil begins.

    The strip may go back, and so does the position, below 0 where it goes back behind the begin. `count` is what the
    counter shows there, between readings as well; None without one.

    A counter that leaps further than `max_mm_per_s` allows, or is silent so long that it may have gone round, is
    counted in `jumps`; the way goes on from where the last speed must have brought the strip, so that positions of a
    coil are not given out twice.
    """

    def __init__(self, config: LineConfig, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stale_ns = round(config.stale_after_s * 1e9)
        self._timed = isinstance(config.encoder, LineSpeed)
        self._counter = _Counter(config.encoder, self._stale_ns) if isinstance(config.encoder, EncoderBase) else None
        self._mm_per_step = _mm_per_step(config.encoder)
        start_ns = clock.tick_ns()
        self._zeros = deque([_Zero(start_ns, start_ns if self._timed else 0, "")], maxlen=_COILS)

    @property
    def jumps(self) -> int:
        """How often the counter was not believed."""
        return self._counter.jumps if self._counter is not None else 0

    def read(self, count: int, tick_ns: int) -> None:
        """Take what the counter showed at that tick. Feed thread."""
        with self._lock:
            self._read(count, tick_ns)

    def at(self, tick_ns: int) -> Position | None:
        """Return the position at a tick: between two readings, or for `stale_after_s` after the last one.

        None while the counter was silent, and before the first of its readings that is kept (2048). Capture threads.
        """
        with self._lock:
            point = self._reckon(tick_ns)
            if point is None or tick_ns - point.tick_ns > self._stale_ns:
                return None
            return self._position(point, tick_ns)

    def of_count(self, count: int) -> Position:
        """Return the position of a count that came with a picture; it is a reading of this moment as well.

        In the order of the pictures, and with an odometer for each camera, since each counts by itself. Capture thread.
        """
        with self._lock:
            tick_ns = self._clock.tick_ns()
            return self._position(self._read(count, tick_ns), tick_ns)

    def begin_coil(self, name: str, tick_ns: int) -> None:
        """Put the zero where the strip was at that tick; what was under the mark before it stays with its own coil."""
        with self._lock:
            point = self._reckon(tick_ns)
            self._zeros.append(_Zero(tick_ns, point.way if point is not None else 0, name))
            if self._counter is not None and point is not None:
                self._counter.lower_high(point.way)

    def length_of(self, coil: str) -> float | None:
        """Return the millimetres from where the coil of that name began last to where the next one did.

        None of the one that runs, and of those that are long gone. Any thread.
        """
        with self._lock:
            coils = list(pairwise(self._zeros))
        lengths = (after.way - zero.way for zero, after in reversed(coils) if zero.coil == coil)
        return next((length * self._mm_per_step for length in lengths), None)

    def _read(self, count: int, tick_ns: int) -> _Point:
        if self._counter is None:
            raise TypeError("this line has no counter")
        return self._counter.read(count, tick_ns)

    def _reckon(self, tick_ns: int) -> _Point | None:
        """Return the strip's point at a tick, however long ago the counter was heard; by time the way is the tick."""
        if self._counter is not None:
            return self._counter.reckon(tick_ns)
        return _Point(tick_ns, 0, tick_ns, tick_ns) if self._timed else None

    def _position(self, point: _Point, tick_ns: int) -> Position:
        zero = next((zero for zero in reversed(self._zeros) if zero.tick_ns <= tick_ns), self._zeros[0])
        high = point.high if point.tick_ns > zero.tick_ns else zero.way
        mm = (point.way - zero.way) * self._mm_per_step
        return Position(mm, None if self._timed else point.count, zero.coil, point.way < high)


def _mm_per_step(encoder: EncoderConfig | None) -> float:
    """Return the millimetres of a count, or of a nanosecond."""
    match encoder:
        case EncoderBase():
            return encoder.mm_per_count
        case LineSpeed():
            return encoder.mm_per_s / 1e9
        case None:
            return 0.0
        case _ as never:
            assert_never(never)


class _Counter:
    """A counter's way in counts forward since its first reading, as whole numbers, and its last readings."""

    def __init__(self, config: EncoderBase, stale_ns: int) -> None:
        self.jumps = 0
        self._sign = -1 if config.reversed else 1
        self._period = 2**config.bits
        self._unwrap = Unwrap(0, self._period - 1)
        self._max_per_s = config.max_mm_per_s / config.mm_per_count
        self._stale_ns = stale_ns
        self._readings: deque[_Point] = deque(maxlen=_READINGS)
        self._high = 0.0

    def read(self, count: int, tick_ns: int) -> _Point:
        unwrapped, way = self._unwrap(count), 0.0
        if self._readings:
            last = self._readings[-1]
            tick_ns = max(tick_ns, last.tick_ns)
            way = last.way + self._believed(last, unwrapped, tick_ns)
            if tick_ns == last.tick_ns:
                self._readings.pop()
        self._high = max(self._high, way)
        self._readings.append(_Point(tick_ns, unwrapped, way, self._high))
        return self._point(self._readings[-1], 0)

    def reckon(self, tick_ns: int) -> _Point | None:
        """Return the point at a tick; None before the first reading that is kept."""
        after = None
        for reading in reversed(self._readings):
            if reading.tick_ns <= tick_ns:
                return self._point(reading, self._moved(reading, after, tick_ns))
            after = reading
        return None

    def lower_high(self, way: float) -> None:
        """Let only what comes from here on count as seen; a picture on its way may still be short of `way`."""
        self._high = min(way, self._readings[-1].way)

    def _believed(self, last: _Point, count: int, tick_ns: int) -> int:
        """Return the counts from `last` to the next reading; where they can't be true, those of the last speed."""
        moved = self._sign * (count - last.count)
        if not self._leaps(moved, (tick_ns - last.tick_ns) / 1e9):
            return moved
        self.jumps += 1
        return round(self._moved(last, None, tick_ns))

    def _leaps(self, moved: int, passed_s: float) -> bool:
        """Whether the strip can't have moved so far, or may have moved round the counter unseen."""
        too_far = abs(moved) > self._max_per_s * (passed_s + _LATE_S)
        return too_far or self._max_per_s * passed_s > self._period / 2

    def _moved(self, reading: _Point, after: _Point | None, tick_ns: int) -> float:
        """Return the counts from `reading` to a tick: towards the one after it, or on at the last speed."""
        passed_ns = tick_ns - reading.tick_ns
        if after is not None:
            return (after.way - reading.way) * passed_ns / (after.tick_ns - reading.tick_ns)
        return self._per_ns() * min(passed_ns, self._stale_ns)

    def _per_ns(self) -> float:
        last = self._readings[-1]
        for reading in reversed(self._readings):
            passed_ns = last.tick_ns - reading.tick_ns
            if passed_ns >= _SPEED_OVER_NS:
                return (last.way - reading.way) / passed_ns
        return 0.0

    def _point(self, reading: _Point, moved: float) -> _Point:
        count = (reading.count + self._sign * round(moved)) % self._period
        return _Point(reading.tick_ns, count, reading.way + moved, reading.high)
