"""How old a message is, on clocks that may be an hour apart or step. Pure state; the gateway's thread."""

from collections import deque
from dataclasses import dataclass

from station.clock import Clock
from station.event import Heartbeat

__all__ = ["Ages"]

_STEP_NS = 500_000_000
"""A clock that moved by less against the tick was slewed."""
_STEPS = 16


@dataclass(frozen=True, slots=True)
class _Step:
    by_ns: int
    tick_ns: int


class Ages:
    """Ages by UTC stamps: less what station and gateway differ by, and less the steps that the clock made since.

    A step is remembered for as long as it was wide: after that no message from before it can be taken for a newer one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ns = clock.utc_ns() - clock.tick_ns()
        self._skew_ns = 0
        self._steps: deque[_Step] = deque(maxlen=_STEPS)

    def hear(self, beat: Heartbeat) -> None:
        """Learn from a heartbeat, which has just come, how far the station's clock is off."""
        self.look()
        self._skew_ns = self._clock.utc_ns() - beat.published_ns

    def look(self) -> None:
        """Notice a step of this computer's clock; to be called more often than it steps."""
        tick_ns = self._clock.tick_ns()
        offset_ns = self._clock.utc_ns() - tick_ns
        if abs(by_ns := offset_ns - self._offset_ns) >= _STEP_NS:
            self._steps.append(_Step(by_ns, tick_ns))
        self._offset_ns = offset_ns
        while self._steps and tick_ns - self._steps[0].tick_ns > abs(self._steps[0].by_ns):
            self._steps.popleft()

    def seconds(self, published_ns: int) -> float:
        """Return how long ago that was, at least 0: the least that a clock which stepped leaves possible."""
        age_ns = self._clock.utc_ns() - published_ns - self._skew_ns
        ages_ns = [age_ns]
        for step in reversed(self._steps):
            age_ns -= step.by_ns
            ages_ns.append(age_ns)
        return min((one for one in ages_ns if one >= 0), default=0) / 1e9
