"""The publish thread: stamps, encodes, hands every message to the sinks, and beats the heart between them."""

from collections.abc import Callable

from station.clock import Clock
from station.event import Heartbeat, Message, encode
from station.outbox import Outbox
from station.sinks.base import Sink

__all__ = ["Publisher"]


class Publisher:
    """Runs in a `Worker`; makes its sinks itself, so that their sockets belong to its thread."""

    def __init__(
        self,
        outbox: Outbox,
        open_sinks: Callable[[], list[Sink]],
        heartbeat: Callable[[dict[str, int]], Heartbeat],
        interval_s: float,
        clock: Clock,
    ) -> None:
        """`heartbeat` makes the next heartbeat from what the sinks dropped so far."""
        self._outbox = outbox
        self._open_sinks = open_sinks
        self._heartbeat = heartbeat
        self._interval_ns = round(interval_s * 1e9)
        self._clock = clock

    def run(self, ready: Callable[[], None]) -> None:
        """Publish until the outbox is closed and empty; the last message is a heartbeat with the final ledger."""
        sinks = self._open_sinks()
        try:
            ready()
            due_ns = self._clock.tick_ns()
            while not self._outbox.finished:
                for message in self._outbox.take(max(0, due_ns - self._clock.tick_ns()) / 1e9):
                    self._send(message, sinks)
                if self._clock.tick_ns() >= due_ns:
                    due_ns = self._clock.tick_ns() + self._interval_ns
                    self._send(self._heartbeat(self._dropped(sinks)), sinks)
            self._send(self._heartbeat(self._dropped(sinks)), sinks)
        finally:
            for sink in sinks:
                sink.close()

    def _send(self, message: Message, sinks: list[Sink]) -> None:
        message.published_ns = self._clock.utc_ns()
        payload = encode(message)
        for sink in sinks:
            sink.put(message, payload)

    def _dropped(self, sinks: list[Sink]) -> dict[str, int]:
        dropped = {f"{sink.name}: {reason}": count for sink in sinks for reason, count in sink.dropped.items()}
        return dropped | ({"outbox: full": self._outbox.dropped} if self._outbox.dropped else {})
