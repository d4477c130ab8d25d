"""The clock that ages of evidence are counted on: one that no step of the computer's clock can make leap. Pure."""

from typing import Final

from station.clock import Clock

__all__ = ["AgeClock"]

_FASTEST: Final = 1.25


class AgeClock:
    """Follows UTC, but never goes back, and goes at most a quarter faster than time really passes.

    So it catches up with a leap of an hour in four hours, and with one of ten years in forty. What was kept while
    the computer's clock was wrong grows old like all else.
    """

    def __init__(self, clock: Clock, last_ns: int) -> None:
        """Go on from `last_ns`, which it showed when it was noted last; 0 begins with what the computer shows."""
        self._clock = clock
        self._tick_ns = clock.tick_ns()
        self._now_ns = last_ns or clock.utc_ns()

    def now_ns(self) -> int:
        """Return nanoseconds, near those since 1970."""
        tick_ns = self._clock.tick_ns()
        passed_ns, self._tick_ns = tick_ns - self._tick_ns, tick_ns
        behind_ns = max(self._clock.utc_ns() - self._now_ns, 0)
        self._now_ns += min(behind_ns, round(passed_ns * _FASTEST))
        return self._now_ns
