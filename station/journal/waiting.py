"""Messages on their way to the disk: the publish thread puts them, the journal thread takes them."""

import threading
from collections import deque

from station.journal.batch import Queued

__all__ = ["Waiting"]


class Waiting:
    """A queue bounded in bytes that never makes `put` wait: beyond the bound the newest messages give way.

    Once they do, they do so until half of it is free: then what is missing is one range and not many.
    """

    def __init__(self, max_bytes: int) -> None:
        self.filled = threading.Event()
        """Set while messages may wait."""
        self._max_bytes = max_bytes
        self._queue: deque[Queued] = deque()
        self._taken: list[Queued] = []
        self._fixed = False
        self._put_bytes = 0
        self._done_bytes = 0
        self._gave_way: dict[int, str] = {}
        self._giving_way = False

    def put(self, message: Queued, why: str) -> bool:
        """Take `message`, or drop it for the reason `why`; whether it was taken. Publish thread."""
        left_bytes = self._max_bytes - (self._put_bytes - self._done_bytes)
        if left_bytes < (self._max_bytes // 2 if self._giving_way else len(message.payload)):
            if not self._giving_way:
                self._gave_way[message.event] = why
            self._giving_way = True
            return False
        self._giving_way = False
        self._queue.append(message)
        self._put_bytes += len(message.payload)
        self.filled.set()
        return True

    def take(self, max_bytes: int) -> list[Queued]:
        """Return the oldest messages, about `max_bytes` of them; the same ones again until `finish`. Journal thread."""
        self.filled.clear()
        size = 0
        while self._queue and not self._fixed and size < max_bytes:
            self._taken.append(self._queue.popleft())
            size += len(self._taken[-1].payload)
        self._fixed = bool(self._taken)
        return self._taken

    def finish(self) -> None:
        """Let go of what was taken: it is on the disk. Journal thread."""
        for first in [first for first in self._gave_way.copy() if first < self._taken[-1].event]:
            del self._gave_way[first]
        self._done_bytes += sum(len(message.payload) for message in self._taken)
        self._taken = []
        self._fixed = False

    def why_missing(self, first: int) -> str | None:
        """Return why the numbers from `first` on were dropped here; None where they were not. Journal thread."""
        return self._gave_way.get(first)

    def __len__(self) -> int:
        return len(self._queue) + len(self._taken)
