"""The newest picture of a camera, live or from the archive, to be tried like an uploaded one. Any thread."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from shadowline.errors import PictureError, StationError
from station.archive.evidence import Evidence
from station.archive.index import Filter, read_index
from station.archive.live import read_live
from station.archive.shelf import DAMAGED, Entry, read_evidence
from station.config import Config
from station.console.tryout.header import MOST_BYTES, read_header
from station.control_protocol import live_folder

__all__ = ["Snapshot", "Source", "take_snapshot"]

Source: TypeAlias = Literal["live", "archive"]

_SEARCHED: Final = 50
_NS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A picture file. `camera` is empty where it is not a whole frame as the camera took it."""

    name: str
    content: bytes
    camera: str


def take_snapshot(config: Config, camera: str, source: Source) -> Snapshot:
    """Return the newest picture of `camera`. Raises `PictureError` where there is none."""
    if camera not in {one.name for one in config.camera}:
        raise PictureError("there is no such camera")
    return _live(config, camera) if source == "live" else _archived(config, camera)


def _live(config: Config, camera: str) -> Snapshot:
    """Return the live picture: of a frame larger than a screen it is a smaller copy."""
    picture = read_live(live_folder(config), camera)
    if picture is None:
        raise PictureError(f"{camera}: no live picture: [archive] live_hz lets the station make them")
    header = read_header(picture.jpeg)
    whole = (header.width, header.height) == picture.event.size_px
    name = f"{camera}-{_clock(picture.event.captured_ns)}.jpg"
    return Snapshot(name, picture.jpeg, camera if whole else "")


def _archived(config: Config, camera: str) -> Snapshot:
    """Return the newest whole frame, else the newest crop, of the last pieces of evidence."""
    folder = config.archive.folder
    if folder is None:
        raise PictureError("this station keeps no pictures: [archive] folder lets it")
    with read_index(folder) as index:
        entries = [one for one in index.find(Filter(camera=camera), _SEARCHED) if one.counts_as != DAMAGED]
    for whole in (True, False):
        for entry in entries:
            if entry.pictures and (found := _read(folder, entry, whole)) is not None:
                path, content = found
                return Snapshot(f"{camera}-{_clock(entry.captured_ns)}{path.suffix}", content, camera if whole else "")
    raise PictureError(f"{camera}: no picture in the archive yet")


def _read(folder: Path, entry: Entry, whole: bool) -> tuple[Path, bytes] | None:
    """Return a picture of `entry`; None where it has no such one, or it was let go meanwhile."""
    try:
        evidence: Evidence = read_evidence(folder / entry.place)
        picture = next(one for one in evidence.pictures if (one.defect is None) == whole)
        path = folder / entry.place / picture.file
        with path.open("rb") as file:
            return path, file.read(MOST_BYTES + 1)
    except (OSError, StationError, StopIteration):
        return None


def _clock(ns: int) -> str:
    return time.strftime("%H%M%S", time.localtime(ns / _NS))
