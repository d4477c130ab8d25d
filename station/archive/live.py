"""The newest picture of each camera, one file each in a folder in memory: a line with its event, and behind it JPEG.

The archive process writes, the station clears up, the console reads. Pure but for files.
"""

import logging
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from station.event import InspectionEvent

__all__ = ["LiveFolder", "LivePicture", "read_live"]

logger = logging.getLogger(__name__)

_MOST_BYTES: Final = 2**23

_events = msgspec.json.Decoder(InspectionEvent)


@dataclass(frozen=True, slots=True)
class LivePicture:
    """A frame's event as it was published, and its picture as JPEG, scaled down to what a screen shows."""

    event: InspectionEvent
    jpeg: bytes


class LiveFolder:
    """A folder of this user alone; leaving the `with` block removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fault = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def put(self, camera: str, published: bytes, jpeg: bytes) -> None:
        """Let this be the newest of `camera`, by one rename. What fails is logged, once until it works again."""
        try:
            self._make()
            half = self._folder / f".{camera}"
            half.write_bytes(b"%b\n%b" % (published, jpeg))
            half.rename(self._folder / camera)
            self._fault = ""
        except OSError as error:
            if self._fault != str(error):
                self._fault = str(error)
                logger.warning("archive: no live pictures in %s: %s", self._folder, error.strerror)

    def _make(self) -> None:
        self._folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(0, "another user's: name a [control] endpoint where only this user writes")


def read_live(folder: Path, camera: str) -> LivePicture | None:
    """Return the newest picture of `camera`; None where there is none, or what is there is none."""
    try:
        with (folder / camera).open("rb") as file:
            published, _, jpeg = file.read(_MOST_BYTES).partition(b"\n")
        return LivePicture(_events.decode(published), jpeg)
    except (OSError, ValueError, RecursionError):  # msgspec's errors and those of UTF-8 are ValueErrors
        return None
