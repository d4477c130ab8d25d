"""Where on its way a picture lies, for the reject gate: by time, or by the line's counter. Pure state; one thread.

Whatever can't be trusted has no place, and what has no place is never accepted: a stamp that the clock stepped behind,
a picture without a count, a counter that is silent.
"""

from typing import Final, Protocol

from shadowline.errors import ConfigError
from station.clock import Clock
from station.config import Config, LineSpeed
from station.config.gateways import RejectConfig
from station.config.line import EncoderBase
from station.event import InspectionEvent
from station.gateways.gate import Stretch
from station.odometer import Odometer

__all__ = ["ByTime", "ByWay", "Place", "open_place"]

_EARLY_NS: Final = 2_000_000
_SLACK_NS: Final = 250_000_000
"""What stamps may differ by from what the steady clock measured; beyond it a clock has stepped."""
_TRANSIT_NS: Final = 1_000_000_000


class Place(Protocol):
    """A way that goes on: millimetres, or milliseconds."""

    def here(self) -> float | None:
        """Return where the way is now at the cameras; None while nobody knows."""

    def of(self, event: InspectionEvent) -> Stretch | None:
        """Return what a picture judges; None where that can't be told."""


class ByTime:
    """Milliseconds on the tick, times `per_ms` for a strip of constant speed."""

    def __init__(self, clock: Clock, frame: float, per_ms: float = 1.0) -> None:
        """`frame` is how long one picture's verdict holds, in the gate's unit."""
        self._clock, self._frame, self._per_ms = clock, frame, per_ms

    def here(self) -> float | None:
        return self._clock.tick_ns() / 1e6 * self._per_ms

    def of(self, event: InspectionEvent) -> Stretch | None:
        transit_ns = self._clock.utc_ns() - event.published_ns
        waited_ns = event.published_ns - event.captured_ns - event.latency_ms * 1e6
        if not -_EARLY_NS <= transit_ns <= _TRANSIT_NS or not -_EARLY_NS <= waited_ns <= _SLACK_NS:
            return None
        age_ms = (self._clock.utc_ns() - event.captured_ns) / 1e6
        start = (self._clock.tick_ns() / 1e6 - age_ms) * self._per_ms
        return Stretch(start, start + self._frame, event.verdict == "accept")


class ByWay:
    """Millimetres by the line's counter, which the gateway reads for itself."""

    def __init__(self, config: Config, reject: RejectConfig, odometer: Odometer, clock: Clock) -> None:
        encoder = config.line.encoder
        if not isinstance(encoder, EncoderBase):
            raise ConfigError("[gateway] reject distance_mm: [line.encoder] has no counter that a gateway could read")
        self._odometer, self._clock, self._frame = odometer, clock, reject.frame
        self._period = 1 << encoder.bits
        self._mm_per_count: float = -encoder.mm_per_count if encoder.reversed else encoder.mm_per_count
        self._reach_mm = {camera.name: camera.reach_mm for camera in config.camera}
        self._way: tuple[int, float] | None = None

    def here(self) -> float | None:
        position = self._odometer.at(self._clock.tick_ns())
        if position is None or position.count is None:
            return None
        before, way = self._way or (position.count, 0.0)
        self._way = (position.count, way + self._from(before, position.count))
        return self._way[1]

    def of(self, event: InspectionEvent) -> Stretch | None:
        here, found = self.here(), event.position
        if here is None or self._way is None or found is None or found.count is None:
            return None
        length = self._frame
        if length is None:
            if found.pitch_mm is None or event.size_px is None:
                return None
            length = found.pitch_mm * event.size_px[1]
        start = here - self._from(found.count, self._way[0]) - self._reach_mm.get(event.camera, 0.0)
        return Stretch(start, start + length, event.verdict == "accept")

    def _from(self, before: int, after: int) -> float:
        """Return the millimetres from one count to another, the shorter way round."""
        moved = (after - before) % self._period
        counts = moved - self._period if moved > self._period // 2 else moved
        return counts * self._mm_per_count


def open_place(config: Config, reject: RejectConfig, odometer: Odometer | None, clock: Clock) -> Place:
    """Return the way that a gate's table asks for. Raises `ConfigError` where the line does not tell it."""
    if reject.delay_ms is not None and reject.frame is not None:
        return ByTime(clock, reject.frame)
    if isinstance(config.line.encoder, LineSpeed):
        if reject.frame is None:
            raise ConfigError("[gateway] reject distance_mm on a line of constant speed: give frame, its millimetres")
        return ByTime(clock, reject.frame, config.line.encoder.mm_per_s / 1e3)
    if odometer is None:
        raise ConfigError("[gateway] reject distance_mm: [line.encoder] has no counter that a gateway could read")
    return ByWay(config, reject, odometer, clock)
