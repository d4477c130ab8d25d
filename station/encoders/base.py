"""What every source of counts yields, and how it waits before it tries again. Encoder thread."""

import random
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["BackOff", "Fault", "Heard", "News", "Source"]

_FIRST_RETRY_S = 0.1
_MAX_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the counter showed at a tick, and the coil that the strip belongs to where the source knows it."""

    tick_ns: int
    count: int
    coil: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A message that was none of a counter, a reading that failed, or a connection that was lost."""

    text: str


News: TypeAlias = Heard | Fault | None

Source: TypeAlias = Generator[News, None, None]
"""Yields something after a bounded wait each time, and first None, once it is set up. Closing it frees everything.

Before the first it may raise `MissingExtra` or `ConfigError`, later nothing: a peer that is away is a `Fault`.
"""


class BackOff:
    """The wait before the next attempt: it doubles up to its limit, and is never quite the same."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._wait_s = _FIRST_RETRY_S

    def reset(self) -> None:
        """Begin with a short wait again: an attempt has come off."""
        self._wait_s = _FIRST_RETRY_S

    def wait(self) -> None:
        """Wait, or return at once when the thread is to end."""
        self._stopping.wait(self._wait_s * random.uniform(0.8, 1.2))
        self._wait_s = min(2 * self._wait_s, _MAX_RETRY_S)
