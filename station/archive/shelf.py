"""The files of the archive: evidence written whole or not at all, read, removed, and found again. Pure but for files.

What is being written lies in `.work` and moves to its place by one rename; what is in `.work` when an archive is
opened was left by a process that died, and goes. Files of other names are nobody's evidence and are never touched.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shadowline.errors import ConfigError, StationError
from station.archive.evidence import CAMERA, DAY, MINUTE, NAME, OWN_FILE, RECORD, Evidence, decode
from station.folder_lock import lock_folder

__all__ = [
    "DAMAGED",
    "Entry",
    "entry_of",
    "minutes",
    "names",
    "owned",
    "put_away",
    "read_entry",
    "read_evidence",
    "sweep",
    "take_away",
]

DAMAGED = "damaged"
"""What evidence counts as that a power cut left without its JSON, or with other pictures than that names."""

_WORK = ".work"
_SWEPT = ".swept"
_BLOCK = 4096
_MOST_RECORD_BYTES = 2**22
_MOST_INTEGER = 2**63 - 1
"""Of the index."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of one piece of evidence; its folder is `minute`/`name`, `size` the bytes of disk it takes.

    Of damaged evidence only the number, the camera and the size are known; `kept_ns` is then when its folder changed.
    """

    minute: str
    name: str
    kept_ns: int
    captured_ns: int
    event: int
    camera: str
    verdict: str
    coil: str
    counts_as: str
    labels: tuple[str, ...]
    pictures: int
    size: int
    part: str = ""
    job: str = ""

    @property
    def place(self) -> str:
        """Its folder below the archive."""
        return f"{self.minute}/{self.name}"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone, made if it is missing, and free of half-written evidence.

    Raises `ConfigError` where it can't be written or another process holds it.
    """
    with lock_folder(folder, "[archive] folder"):
        try:
            sweep(folder)
        except OSError as error:
            raise ConfigError(f"[archive] folder {folder}: can't be written: {error.strerror}") from None
        yield


def sweep(folder: Path) -> None:
    """Remove half-written evidence. Raises OSError.

    By one rename it is out of reach for a process that would still finish it: whole or not at all holds for that too.
    """
    shutil.rmtree(folder / _SWEPT, ignore_errors=True)
    with suppress(FileNotFoundError):
        (folder / _WORK).rename(folder / _SWEPT)
        shutil.rmtree(folder / _SWEPT, ignore_errors=True)
    (folder / _WORK).mkdir(exist_ok=True)


def put_away(folder: Path, place: str, files: Mapping[str, bytes]) -> None:
    """Write `files` as the new folder `place` of the archive, whole or not at all. Raises OSError."""
    target = folder / place
    work = folder / _WORK / target.name
    try:
        work.mkdir(parents=True)
        for name, content in files.items():
            (work / name).write_bytes(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        work.rename(target)
    except OSError:
        shutil.rmtree(work, ignore_errors=True)
        raise


def take_away(folder: Path, place: str) -> None:
    """Remove the evidence in `place`, its JSON first, and the folders that it leaves empty. Raises OSError.

    Files of a stranger stay, and so does then the folder.
    """
    target = folder / place
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(target), key=lambda name: name != RECORD):
            if OWN_FILE.fullmatch(name):
                (target / name).unlink()
    with suppress(OSError):  # not empty
        for empty in (target, *target.parents[:3]):
            empty.rmdir()


def minutes(folder: Path) -> Iterator[str]:
    """Yield every folder of a minute below `folder`, the oldest day first."""
    for day in _folders(folder, DAY):
        for camera in _folders(folder / day, CAMERA):
            for minute in _folders(folder / day / camera, MINUTE):
                yield f"{day}/{camera}/{minute}"


def names(folder: Path, minute: str) -> set[str]:
    """Return the names of the folders in `minute` that are named like evidence."""
    return set(_folders(folder / minute, NAME))


def read_entry(folder: Path, minute: str, name: str) -> Entry | None:
    """Return what the index must know of the evidence in `minute`/`name`: as damaged if it is not whole.

    None where no file of ours is in it.
    """
    place = folder / minute / name
    sizes = _own_files(place)
    if not sizes:
        return None
    try:
        evidence = read_evidence(place)
    except StationError:
        return _damaged(minute, name, _changed_ns(place), sizes)
    if any(sizes.get(picture.file) != picture.bytes for picture in evidence.pictures):
        return _damaged(minute, name, _changed_ns(place), sizes)
    return entry_of(evidence, minute, name, sizes)


def read_evidence(place: Path) -> Evidence:
    """Return the evidence in the folder `place`. Raises `StationError` where its JSON is missing or is none."""
    path = place / RECORD
    try:
        with path.open("rb") as file:
            return decode(file.read(_MOST_RECORD_BYTES))
    except OSError as error:
        raise StationError(f"{path}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # msgspec's errors and those of UTF-8 are ValueErrors
        raise StationError(f"{path}: not the event of a piece of evidence: {error}") from None


def entry_of(evidence: Evidence, minute: str, name: str, sizes: Mapping[str, int]) -> Entry:
    """Return what the index must know of `evidence`, whose files have `sizes`."""
    event = evidence.event
    return Entry(
        minute,
        name,
        evidence.kept_ns,
        min(max(event.captured_ns, 0), _MOST_INTEGER),
        min(max(event.event, 0), _MOST_INTEGER),
        event.camera,
        event.verdict,
        event.position.coil if event.position else "",
        evidence.counts_as,
        evidence.labels,
        len(evidence.pictures),
        _on_disk(sizes),
        event.part,
        event.job,
    )


def _damaged(minute: str, name: str, changed_ns: int, sizes: Mapping[str, int]) -> Entry:
    number, camera = int(name.partition("-")[0]), minute.split("/")[1]
    return Entry(minute, name, changed_ns, changed_ns, number, camera, DAMAGED, "", DAMAGED, (), 0, _on_disk(sizes))


def _changed_ns(place: Path) -> int:
    try:
        return min(max(place.stat().st_mtime_ns, 0), _MOST_INTEGER)
    except OSError:
        return 0


def _on_disk(sizes: Mapping[str, int]) -> int:
    """Return what files of these sizes take of a disk in blocks of 4 KiB, with their folder."""
    return _BLOCK + sum(-(-size // _BLOCK) * _BLOCK for size in sizes.values())


def _own_files(place: Path) -> dict[str, int]:
    """Return name and size of each file of ours; none where `place` can't be read."""
    with suppress(OSError), os.scandir(place) as found:
        return {
            one.name: one.stat(follow_symlinks=False).st_size
            for one in found
            if OWN_FILE.fullmatch(one.name) and one.is_file(follow_symlinks=False)
        }
    return {}


def _folders(place: Path, pattern: re.Pattern[str]) -> list[str]:
    """Return the folders in `place` that are named so, in order; none where it can't be read."""
    with suppress(OSError), os.scandir(place) as found:
        return sorted(one.name for one in found if pattern.fullmatch(one.name) and one.is_dir(follow_symlinks=False))
    return []
