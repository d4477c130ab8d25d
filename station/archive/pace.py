"""How often each camera's newest frame is shown, and whose turn it is. Pure; called from the inspect thread."""

from typing import Final

__all__ = ["Pace"]

_MOST_TURNS: Final = 16
"""So often others stand back for a camera that found no room; one that does not come meanwhile is away."""


class Pace:
    """At most `rate_hz` frames of each camera; none at 0. Cameras that find no room come before the others."""

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = round(1e9 / rate_hz) if rate_hz else None
        self._due_ns: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        """How often others stood back for each that found no room, the first one first."""

    def is_due(self, camera: str, now_ns: int) -> bool:
        """Return whether a frame of `camera` may be shown now."""
        due = self._period_ns is not None and now_ns >= self._due_ns.get(camera, 0)
        return due and not self._stands_back(camera)

    def note(self, camera: str, now_ns: int) -> None:
        """Note that one is."""
        self._due_ns[camera] = now_ns + (self._period_ns or 0)
        self._waiting.pop(camera, None)

    def wait(self, camera: str) -> None:
        """Note that there was no room for one."""
        self._waiting.setdefault(camera, 0)

    def _stands_back(self, camera: str) -> bool:
        """Return whether another camera comes first."""
        if not self._waiting or camera in self._waiting:
            return False
        first = next(iter(self._waiting))
        self._waiting[first] += 1
        if self._waiting[first] >= _MOST_TURNS:
            del self._waiting[first]
        return True
