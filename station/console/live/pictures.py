"""The newest pictures of the cameras, taken from the archive process's folder into memory once for all. Event loop."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station.archive.live import read_live
from station.clock import Clock
from station.event import InspectionEvent

__all__ = ["Picture", "Pictures"]

_KEPT: Final = 3
"""Of a camera: a browser may still ask for one that was told of before the newest."""
_AHEAD_NS: Final = -1_000_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame as it is shown, and when it was captured."""

    version: str
    """Unlike any other's."""
    event: InspectionEvent
    jpeg: bytes
    captured_tick_ns: float
    """Of the monotonic clock; minus infinity where that can't be told."""

    def age_ms(self, tick_ns: int) -> float:
        """Return how long ago it was captured."""
        return (tick_ns - self.captured_tick_ns) / 1e6


class Pictures:
    """Follows the files of `cameras` in `folder`."""

    def __init__(self, folder: Path, cameras: Sequence[str], clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._seen: dict[str, tuple[int, int]] = {}
        self._kept: dict[str, deque[Picture]] = {camera: deque(maxlen=_KEPT) for camera in cameras}

    def look(self) -> bool:
        """Take in what is new; return whether something is."""
        return any([self._take(camera) for camera in self._kept])

    def newest(self, camera: str) -> Picture | None:
        """Return the newest picture of `camera`."""
        kept = self._kept[camera]
        return kept[-1] if kept else None

    def find(self, camera: str, version: str) -> Picture | None:
        """Return one of the last pictures of `camera`."""
        return next((one for one in self._kept.get(camera, ()) if one.version == version), None)

    def _take(self, camera: str) -> bool:
        try:
            found = (self._folder / camera).stat()
        except OSError:
            return False
        mark = (found.st_ino, found.st_mtime_ns)
        if self._seen.get(camera) == mark or (live := read_live(self._folder, camera)) is None:
            return False
        self._seen[camera] = mark
        event = live.event
        version = f"{event.origin.run}-{event.event}"
        self._kept[camera].append(Picture(version, event, live.jpeg, self._captured(event)))
        return True

    def _captured(self, event: InspectionEvent) -> float:
        """Return when it was, by the host's own stamp: the camera's clock may be another one.

        What was never published, or comes from a time ahead since a clock was set back, has no age that could be told.
        """
        since_ns = self._clock.utc_ns() - event.published_ns
        if not event.published_ns or since_ns < _AHEAD_NS:
            return -math.inf
        return self._clock.tick_ns() - max(since_ns, 0) - event.latency_ms * 1e6
