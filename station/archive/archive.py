"""Between the inspect thread, which is never made to wait, and the thread that keeps evidence of frames on disk."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from station.archive.guard import DiskGuard, Room
from station.archive.holdings import Holdings
from station.archive.keeper import Keeper, Piece
from station.archive.selection import Selection
from station.clock import Clock
from station.config import ArchiveConfig
from station.event import InspectionEvent, ServiceState
from station.frame import Frame, Image

__all__ = ["Archive", "ArchiveFigures"]

_Buffer: TypeAlias = NDArray[np.uint8]

_IDLE_S = 1.0
_STEPS = 4
"""Pieces that may go for each one that comes, so that small ones can make room for large ones."""
_BURST_NS = 1_000_000_000
"""Work that may be done at once before it is spread: a rest is owed only beyond it."""


@dataclass(frozen=True, slots=True)
class ArchiveFigures:
    """What was kept since the start, what was not and why, and what all that is kept takes of the disk."""

    state: ServiceState
    kept: int
    dropped: dict[str, int]
    """`busy`: no buffer was free; `disk`: little room; `failed`: could not be written. By frames."""
    bytes: int


class Archive:
    """Runs in a `Worker`."""

    def __init__(
        self,
        folder: Path,
        config: ArchiveConfig,
        clock: Clock,
        tell: Callable[[ServiceState, str], None],
        chance: Random | None = None,
    ) -> None:
        """`tell` hears from the archive thread when it gets worse or well again; `chance` draws the audit share."""
        self._clock = clock
        self._selection = Selection(config, chance or Random())
        self._share = config.core_share
        self._guard = DiskGuard(folder, config.frames_free_mb, config.crops_free_mb, clock, tell)
        self._holdings = Holdings(
            folder,
            config.max_mb * 10**6,
            round(config.max_age_days * 86_400 * 1e9),
            self._guard,
            clock,
        )
        self._free: list[_Buffer] = [np.empty(0, np.uint8)] * config.queue_frames
        self._waiting: deque[tuple[Piece, _Buffer]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._kept = 0
        self._dropped: Counter[str] = Counter()
        self._rested_ns = 0

    def offer(self, frame: Frame, event: InspectionEvent, cut: CropCut) -> None:
        """Copy `frame` if it is worth keeping and there is room for it; else count why not. Inspect thread.

        `cut` is how the model's crops were cut. `event` has its number and is read later on.
        """
        choice = self._selection.choose(event)
        if choice is None:
            return
        if self._guard.room is Room.NOTHING:
            self._drop("disk")
            return
        if not self._free:
            self._drop("busy")
            return
        image, buffer = _copy(frame.image, self._free.pop())
        with self._changed:
            self._waiting.append((Piece(event, image, choice, cut, self._clock.utc_ns()), buffer))
            self._changed.notify()

    def run(self, ready: Callable[[], None]) -> None:
        """Keep what is offered until stopped, and all of it then; between, tend what is held."""
        with self._holdings:
            self._guard.look()
            keeper = Keeper(self._holdings, self._guard)
            more = self._holdings.tend()
            ready()
            while (taken := self._next(0.0 if more else _IDLE_S)) is not None or not self._closed:
                started_ns = time.thread_time_ns()
                self._guard.look()
                if taken is not None:
                    self._keep(keeper, *taken)
                more = all(self._holdings.tend() for _ in range(_STEPS))
                self._rest(time.thread_time_ns() - started_ns)

    def stop(self) -> None:
        """Let the thread end when all that waits is kept. Any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def figures(self) -> ArchiveFigures:
        """Return what it has done so far. Any thread."""
        held = sum(self._holdings.sizes.copy().values())
        return ArchiveFigures(self._guard.state, self._kept, dict(self._dropped), held)

    def _next(self, timeout_s: float) -> tuple[Piece, _Buffer] | None:
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(timeout_s)
            return self._waiting.popleft() if self._waiting else None

    def _keep(self, keeper: Keeper, piece: Piece, buffer: _Buffer) -> None:
        why_not = keeper.keep(piece)
        self._free.append(buffer)
        if why_not:
            self._drop(why_not)
        else:
            self._kept += 1

    def _drop(self, why: str) -> None:
        with self._changed:
            self._dropped[why] += 1

    def _rest(self, worked_ns: int) -> None:
        """Wait as long as the share of a core asks for after so much work."""
        now_ns = time.monotonic_ns()
        self._rested_ns = max(self._rested_ns, now_ns - _BURST_NS) + round(worked_ns / self._share)
        if self._rested_ns > now_ns:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, (self._rested_ns - now_ns) / 1e9)


def _copy(image: Image, buffer: _Buffer) -> tuple[Image, _Buffer]:
    """Return a copy of `image` and the buffer that it lies in: `buffer`, unless that is too small."""
    if buffer.nbytes < image.nbytes:
        buffer = np.empty(image.nbytes, np.uint8)
    copy = buffer[: image.nbytes].view(image.dtype).reshape(image.shape)
    np.copyto(copy, image)
    return copy, buffer
