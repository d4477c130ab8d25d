"""What the archive has kept of a defect, found by the number of its event; only read. FastAPI's threads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from shadowline.errors import StationError
from station.archive.evidence import Evidence, Picture
from station.archive.export import read_picture
from station.archive.index import Filter, read_index
from station.archive.shelf import read_evidence

__all__ = ["Kept", "find_kept"]


class Kept(msgspec.Struct, frozen=True):
    """Evidence of one frame, of which `defect` is asked for."""

    place: Path
    evidence: Evidence
    defect: int

    def picture(self, kind: Literal["crop", "frame"]) -> Picture | None:
        """Return the picture of the defect, or of the whole frame; None where it was not kept."""
        wanted = self.defect if kind == "crop" else None
        return next((one for one in self.evidence.pictures if one.defect == wanted), None)

    def read(self, kind: Literal["crop", "frame"]) -> tuple[bytes, str]:
        """Return the file and its media type. Raises `StationError` where it is gone, changed, or was not kept."""
        picture = self.picture(kind)
        if picture is None:
            raise StationError(f"event {self.evidence.event.event}: no {kind} of it was kept")
        return read_picture(self.place, picture), "image/jpeg" if picture.file.endswith(".jpg") else "image/png"


def find_kept(folder: Path | None, defect: Mapping[str, Any]) -> Kept | None:
    """Return what the archive in `folder` has kept of a defect, as `read_defect` gives it; None where nothing is.

    The same number of another journal is told by its time. Raises `StationError` where the archive can't be read.
    """
    if folder is None:
        return None
    event, camera = defect["event"], defect["camera"]
    with read_index(folder) as index:
        found = list(index.find(Filter(first=event, last=event, camera=camera)))
    entry = next((entry for entry in found if entry.captured_ns == defect["captured_ns"]), None)
    if entry is None:
        return None
    place = folder / entry.place
    return Kept(place, read_evidence(place), defect["number"])
