"""Gives each camera's pictures their position on the strip, and lets a coil begin for all at once. Any thread."""

from collections.abc import Callable

from station.clock import Clock
from station.config import CameraConfig, ChunkEncoder, Config, LineSpeed, ModbusEncoder, ZeroMqEncoder
from station.encoder_feed import EncoderFeed
from station.frame import Position
from station.odometer import Odometer
from station.sequencer import Locate

__all__ = ["Positions"]


class Positions:
    """The odometers of one line: one for all cameras, or one each where every camera counts for itself."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.feed: EncoderFeed | None = None
        """What reads the counter, to be run in a `Worker`; None where the pictures or the clock tell."""
        self._clock = clock
        self._of_camera: dict[str, Odometer] = {}
        self._shared: Odometer | None = None
        match config.line.encoder:
            case ChunkEncoder():
                self._of_camera = {camera.name: Odometer(config.line, clock) for camera in config.camera}
            case LineSpeed():
                self._shared = Odometer(config.line, clock)
            case ModbusEncoder() | ZeroMqEncoder() as encoder:
                self._shared = Odometer(config.line, clock)
                stale_after_s, keys = config.line.stale_after_s, config.security.folder
                self.feed = EncoderFeed(encoder, stale_after_s, self._shared, clock, keys)

    def locate(self, camera: CameraConfig) -> Locate:
        """Return what finds the position of the first row of that camera's pictures."""
        own, shared = self._of_camera.get(camera.name), self._shared

        def position(count: int | None, tick_ns: int) -> Position | None:
            if own is not None:
                found = None if count is None else own.of_count(count)
            else:
                found = None if shared is None else shared.at(tick_ns)
            if found is None:
                return None
            return Position(found.mm - camera.reach_mm, found.count, found.coil, found.reversed)

        return position

    def length_of(self, camera: CameraConfig) -> Callable[[str], float | None]:
        """Return what tells the length of a coil that has ended, as that camera's counter has it."""
        odometer = self._of_camera.get(camera.name) or self._shared
        return odometer.length_of if odometer is not None else lambda coil: None

    @property
    def jumps(self) -> int:
        """How often a counter was not believed, because no strip can go so far in so short a time."""
        return sum(odometer.jumps for odometer in self._odometers)

    def begin_coil(self, name: str) -> None:
        """Let positions count from here on, as of the coil `name`."""
        tick_ns = self._clock.tick_ns()
        for odometer in self._odometers:
            odometer.begin_coil(name, tick_ns)

    @property
    def _odometers(self) -> list[Odometer]:
        return [*self._of_camera.values(), *([self._shared] if self._shared else [])]
