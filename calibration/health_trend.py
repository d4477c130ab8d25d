"""How fast the lamp ages: the slow trend of its light, from hourly means. Pure."""

from collections import deque
from typing import Final

import numpy as np

__all__ = ["Trend"]

_HOUR_NS: Final = 3_600_000_000_000
_MOST_HOURS: Final = 60 * 24
_LEAST_HOURS: Final = 10 * 24


class Trend:
    """Keeps the hourly means of the last sixty days in which there were any."""

    def __init__(self) -> None:
        self.loss_percent: float | None = None
        """What is lost in 1000 hours; negative while it grows; None before there are 240 hours."""
        self._hours: deque[tuple[int, float]] = deque(maxlen=_MOST_HOURS)
        self._hour, self._sum, self._count = 0, 0.0, 0

    def add(self, percent: float, tick_ns: int) -> None:
        """Take the light at `tick_ns`, in per cent of the baseline."""
        hour = tick_ns // _HOUR_NS
        if hour != self._hour and self._count:
            self._hours.append((self._hour, self._sum / self._count))
            self._sum, self._count = 0.0, 0
            self.loss_percent = self._loss()
        self._hour = hour
        self._sum += percent
        self._count += 1

    def _loss(self) -> float | None:
        """Compare the median of the first third with that of the last (Tukey 1977): single coils do not bend it."""
        if len(self._hours) < _LEAST_HOURS:
            return None
        hours = np.asarray(self._hours)
        third = len(hours) // 3
        first, last = np.median(hours[:third], axis=0), np.median(hours[-third:], axis=0)
        return float(1000 * (first[1] - last[1]) / (last[0] - first[0]))
