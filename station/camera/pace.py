"""When the next frame of a camera without a sensor is due. Lives in the capture thread."""

from station.clock import Clock

__all__ = ["Pace"]


class Pace:
    """A steady beat of `rate_hz` on a clock's tick; rate 0 is always due. Frames asked for late are due at once."""

    def __init__(self, rate_hz: float, clock: Clock) -> None:
        self._period_ns = round(1e9 / rate_hz) if rate_hz else 0
        self._clock = clock
        self._due_ns = clock.tick_ns()

    def wait(self, deadline_ns: int) -> bool:
        """Sleep until a frame is due, and count it; False if the tick `deadline_ns` comes first."""
        now_ns = self._clock.tick_ns()
        if self._period_ns and self._due_ns > now_ns:
            self._clock.sleep((min(self._due_ns, deadline_ns) - now_ns) / 1e9)
            if self._due_ns > deadline_ns:
                return False
        self._due_ns += self._period_ns
        return True

    def skip_missed(self) -> int:
        """Pass over the frames whose time has gone by, and return how many they were."""
        late_ns = self._clock.tick_ns() - self._due_ns
        missed = max(0, -(-late_ns // self._period_ns)) if self._period_ns else 0
        self._due_ns += missed * self._period_ns
        return missed
