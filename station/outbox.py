"""Between the threads that make messages and the publish thread: numbers them and holds a bounded number."""

import threading
from collections import deque
from collections.abc import Callable

from station.event import Numbered

__all__ = ["Outbox"]


class Outbox:
    """A bounded queue that never makes its callers wait; when it is full the new message is dropped and counted.

    The numbers go on over a drop, so that a subscriber sees the gap, and the heartbeat carries the count. They begin at
    1, or go on where a journal says.
    """

    def __init__(self, max_events: int) -> None:
        self._max_events = max_events
        self._waiting: deque[Numbered] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._mark: Callable[[int], None] | None = None
        self.last_event = 0
        self.dropped = 0

    def resume(self, last_event: int, mark: Callable[[int], None]) -> None:
        """Go on behind `last_event`, and call `mark` with each number that is given. Before the first message."""
        self.last_event = last_event
        self._mark = mark

    def put(self, message: Numbered) -> None:
        """Number `message` and hand it over. Any thread."""
        with self._changed:
            self.last_event += 1
            message.event = self.last_event
            if self._mark is not None:
                self._mark(self.last_event)
            if len(self._waiting) >= self._max_events:
                self.dropped += 1
                return
            self._waiting.append(message)
            if len(self._waiting) == 1:
                self._changed.notify()

    def take(self, timeout_s: float) -> list[Numbered]:
        """Wait up to `timeout_s` for messages and return all that wait; none on time-out. Publish thread."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(timeout_s)
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def close(self) -> None:
        """Wake the publish thread for the last messages."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and not self._waiting
