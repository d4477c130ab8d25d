"""How much may be written, by the room that is left on the disk: in stated steps, each told once. Archive process."""

import errno
import logging
import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Final

from station.clock import Clock
from station.event import ServiceState

__all__ = ["DiskGuard", "Room"]

logger = logging.getLogger(__name__)

_LOOK_NS = 1_000_000_000
_RETRY_NS = 5_000_000_000
_BACK_TENTHS: Final = 11
"""A step is taken back when there is a tenth more room than it began at, so that none is taken again and again."""


class Room(IntEnum):
    """What may be written."""

    NOTHING = 0
    CROPS = 1
    ALL = 2


_STATES: dict[Room, ServiceState] = {Room.NOTHING: "offline", Room.CROPS: "degraded", Room.ALL: "online"}


class DiskGuard:
    """Looks at the disk once a second; `tell` hears of each step, and of a disk that fails."""

    def __init__(
        self,
        folder: Path,
        frames_free_mb: int,
        crops_free_mb: int,
        clock: Clock,
        tell: Callable[[ServiceState, str], None],
    ) -> None:
        self._free_bytes = 0
        self._folder = folder
        self._least_mb = {Room.ALL: frames_free_mb, Room.CROPS: crops_free_mb}
        self._clock = clock
        self._tell = tell
        self._level = Room.ALL
        self._fault = ""
        self._look_ns = self._retry_ns = 0
        self._told: Room | str = Room.ALL

    @property
    def room(self) -> Room:
        """What may be written now: some seconds after a fault what the disk has room for, as a trial."""
        return Room.NOTHING if self._fault and self._clock.tick_ns() < self._retry_ns else self._level

    @property
    def state(self) -> ServiceState:
        """What it told last."""
        return _STATES[Room.NOTHING if self._fault else self._level]

    def look(self) -> None:
        """Look at the disk if a second has passed."""
        now_ns = self._clock.tick_ns()
        if now_ns < self._look_ns:
            return
        self._look_ns = now_ns + _LOOK_NS
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            self.fail(error)
            return
        self._free_bytes = disk.f_bavail * disk.f_frsize
        self._level = next((room for room in (Room.ALL, Room.CROPS) if self._has(room)), Room.NOTHING)
        self._say()

    def fail(self, error: Exception) -> None:
        """Write nothing for some seconds, since writing failed with `error`."""
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        self._fault = "the disk is full" if full else getattr(error, "strerror", None) or str(error)
        self._retry_ns = self._clock.tick_ns() + _RETRY_NS
        self._say()

    def succeed(self) -> None:
        """Note that writing works."""
        if self._fault:
            self._fault = ""
            self._say()

    def _has(self, room: Room) -> bool:
        tenths = 10 if self._level >= room else _BACK_TENTHS
        return self._free_bytes >= self._least_mb[room] * 10**5 * tenths

    def _say(self) -> None:
        now: Room | str = self._fault or self._level
        if now != self._told:
            self._told = now
            well = self.state == "online"
            logger.log(logging.INFO if well else logging.WARNING, "archive: %s", self._words())
            self._tell(self.state, self._words())

    def _words(self) -> str:
        if self._fault:
            return f"nothing is kept: {self._fault}"
        free = f"{self._free_bytes / 1e6:.0f} MB are free"
        match self._level:
            case Room.NOTHING:
                return f"nothing is kept: {free}, less than crops_free_mb = {self._least_mb[Room.CROPS]}"
            case Room.CROPS:
                return f"whole frames are left out: {free}, less than frames_free_mb = {self._least_mb[Room.ALL]}"
            case Room.ALL:
                return f"all is kept: {free}"
