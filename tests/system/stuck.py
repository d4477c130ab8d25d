"""A camera that hangs: it delivers a few pictures and then keeps its thread."""

from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from station.clock import Clock
from station.config import PythonCameraConfig
from station.frame import Exposure

__all__ = ["StuckCamera"]


class StuckCamera:
    """Delivers three pictures and then nothing, not even a time-out, for a minute."""

    features: frozenset[str] = frozenset()

    identity = ""

    def __init__(self, config: PythonCameraConfig, clock: Clock) -> None:
        self.counters: Mapping[str, int] = {}
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        for frame_id in range(3):
            yield Exposure(np.full((64, 64), 120, np.uint8), frame_id, self._clock.utc_ns())
        self._clock.sleep(60)
