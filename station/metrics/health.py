"""What `/healthz` and `/readyz` say: whether the process lives, and whether its verdicts can be had. Any thread."""

import threading
from collections.abc import Callable, Sequence

from station.clock import Clock
from station.event import Heartbeat
from station.worker import Worker

__all__ = ["Health"]

_LATE_BEATS = 3
_LATE_S = 1.0


class Health:
    """Looks at the threads and at the last heartbeat; asks nobody and waits for nothing."""

    def __init__(
        self,
        workers: Sequence[Worker],
        beat: Callable[[], Heartbeat | None],
        first_verdict: threading.Event,
        clock: Clock,
    ) -> None:
        self._workers = workers
        self._beat = beat
        self._first_verdict = first_verdict
        self._clock = clock

    def faults(self) -> list[str]:
        """Return why the process should be started anew; empty while it lives."""
        found = []
        for worker in self._workers:
            if worker.failure is not None:
                found.append(f"thread {worker.name} failed: {worker.failure}")
            elif not worker.alive and not worker.name.startswith("capture"):  # a source may be at its end
                found.append(f"thread {worker.name} has ended")
        if (beat := self._beat()) is not None:
            silent_s = (self._clock.utc_ns() - beat.published_ns) / 1e9
            if silent_s > _LATE_BEATS * beat.interval_s + _LATE_S:
                found.append(f"no heartbeat for {silent_s:.0f} s")
        return found

    def obstacles(self) -> list[str]:
        """Return why not every part that passes gets its verdict and its record; empty while all do."""
        return self.faults() + ([] if self._first_verdict.is_set() else ["no frame has been judged yet"]) + self._away()

    def _away(self) -> list[str]:
        """Return what the last heartbeat says is away."""
        beat = self._beat()
        if beat is None:
            return ["no heartbeat yet"]
        found = [
            f"camera {name} is {account.state}"
            for name, account in beat.ledger.items()
            if account.state not in ("online", "degraded")
        ]
        if beat.encoder in ("starting", "offline"):
            found.append(f"the line's counter is {beat.encoder}")
        if beat.journal is not None and beat.journal.state == "offline":
            found.append(f"the journal is offline: {beat.journal.detail}")
        return found
