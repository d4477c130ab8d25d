"""The wait for the next picture of a device, and the software triggers fired meanwhile. Lives in the capture thread."""

from collections.abc import Callable, Iterator

from station.clock import Clock
from station.config import TriggerConfig
from station.frame import Exposure

__all__ = ["SoftwareTrigger", "each_exposure"]

_LEAST_NS = 1_000_000  # camera libraries wait in whole milliseconds


class SoftwareTrigger:
    """Fires `fire` at the rate of a trigger table, if that has one. Triggers that come too late are left out."""

    def __init__(self, config: TriggerConfig | None, fire: Callable[[], None], clock: Clock) -> None:
        rate_hz = config.software_hz if config else None
        self._period_ns = round(1e9 / rate_hz) if rate_hz else None
        self._fire = fire
        self._clock = clock
        self._due_ns = clock.tick_ns()

    def next_ns(self, deadline_ns: int) -> int:
        """Fire if it is time, and return the tick until which a picture can be waited for."""
        if self._period_ns is None:
            return deadline_ns
        now_ns = self._clock.tick_ns()
        if self._due_ns <= now_ns:
            self._fire()
            self._due_ns = max(self._due_ns + self._period_ns, now_ns)
        return min(self._due_ns, deadline_ns)


def each_exposure(
    fetch: Callable[[int], Exposure | None], timeout_s: float, trigger: SoftwareTrigger, clock: Clock
) -> Iterator[Exposure | None]:
    """Yield what `fetch` brings, for ever, and None after `timeout_s` without; `fetch` waits for so many ms at most."""
    while True:
        deadline_ns = clock.tick_ns() + max(round(timeout_s * 1e9), _LEAST_NS)
        exposure = None
        while exposure is None and deadline_ns - clock.tick_ns() >= _LEAST_NS:
            left_ns = trigger.next_ns(deadline_ns) - clock.tick_ns()
            exposure = fetch(max(1, left_ns // 1_000_000))
        yield exposure
