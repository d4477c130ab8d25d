"""A camera that costs next to nothing: a few frames drawn beforehand, delivered over and over. Capture thread."""

import time
from collections.abc import Iterator, Mapping
from typing import Self

from station.bench.regions import draw_strip
from station.camera.base import CAN_WAIT
from station.clock import Clock
from station.config import PythonCameraConfig
from station.frame import Exposure

__all__ = ["RingCamera"]

_FRAMES = 8


class RingCamera:
    """For `type = "python"`: `settings` are `regions` (defects a frame) and `rate_hz` (0: as fast as possible)."""

    def __init__(self, config: PythonCameraConfig, clock: Clock) -> None:
        self._clock = clock
        self._rate_hz = float(config.settings.get("rate_hz", 0))
        self._images = [draw_strip(int(config.settings["regions"]), seed) for seed in range(_FRAMES)]
        self.identity = ""
        self.counters: Mapping[str, int] = {}
        self.features = frozenset({"FrameID"} if self._rate_hz else {"FrameID", CAN_WAIT})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        start_s, frame_id = time.monotonic(), 0
        while True:
            if self._rate_hz:
                self._clock.sleep(start_s + frame_id / self._rate_hz - time.monotonic())
            yield Exposure(self._images[frame_id % _FRAMES], frame_id, self._clock.utc_ns())
            frame_id += 1
