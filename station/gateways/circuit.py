"""When a lost peer is tried again: pauses that double, and a breaker that opens. Pure."""

import random
from collections.abc import Callable

from station.config.gateways import GatewayBase

__all__ = ["Circuit"]


class Circuit:
    """Counts failures in a row. Once `breaker_failures` are reached it is open: the longest pause between attempts."""

    def __init__(self, config: GatewayBase, draw: Callable[[], float] = random.random) -> None:
        """`draw` gives numbers from 0 to 1, so that many gateways do not come back all at once."""
        self.failures = 0
        self._config = config
        self._draw = draw

    @property
    def is_open(self) -> bool:
        """Whether it failed so often that the peer counts as gone."""
        return self.failures >= self._config.breaker_failures

    def fail(self) -> float:
        """Count a failure and return the seconds to wait: from the upper half of a pause that doubles each time."""
        self.failures += 1
        longest_s = self._config.backoff_max_s
        doubled_s = self._config.backoff_s * 2.0 ** min(self.failures - 1, 64)
        pause_s = longest_s if self.is_open else min(longest_s, doubled_s)
        return pause_s * (0.5 + self._draw() / 2)

    def close(self) -> None:
        """Begin anew: the peer has held."""
        self.failures = 0
