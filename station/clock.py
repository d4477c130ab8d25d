"""Time as the station sees it: a UTC clock for records, a tick for durations. Pure; injected, so tests never wait."""

import time
from typing import Protocol

__all__ = ["Clock", "HostClock", "ManualClock"]


class Clock(Protocol):
    """Where every time in the station comes from."""

    def utc_ns(self) -> int:
        """Return nanoseconds since 1970 UTC. May step in either direction; for records only."""

    def tick_ns(self) -> int:
        """Return nanoseconds that never step back; for rates, latencies and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Block this thread; nothing to do when `seconds` is not positive."""


class HostClock:
    """The computer's own clocks."""

    def utc_ns(self) -> int:
        return time.time_ns()

    def tick_ns(self) -> int:
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class ManualClock:
    """A clock that stands still until somebody sleeps on it or steps it. For tests and demonstrations."""

    def __init__(self, utc_ns: int = 1_700_000_000_000_000_000) -> None:
        self._utc_ns = utc_ns
        self._tick_ns = 0

    def utc_ns(self) -> int:
        return self._utc_ns

    def tick_ns(self) -> int:
        return self._tick_ns

    def sleep(self, seconds: float) -> None:
        passed_ns = max(0, round(seconds * 1e9))
        self._tick_ns += passed_ns
        self._utc_ns += passed_ns

    def step_utc(self, seconds: float) -> None:
        """Step the UTC clock alone, as a time server or an operator does."""
        self._utc_ns += round(seconds * 1e9)
