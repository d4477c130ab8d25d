"""Data sets made of what was decided: crops in a folder a class, as `station train` reads them. Any thread.

    sets/20261122-081530/scratches/coil_A17--top-000000012345-1a2b3c4d5e6f-20-40-12-10.png
    sets/20261122-081530/pictures.jsonl     where each came from, who decided and when
    sets/20261122-081530/set.json           what is in it

What stands before `--` in a name belongs together (coil, part, minute) and stays on one side of a split. What follows
is as `station archive export` names it, so that `station train finders … --from-reviewed` takes the folder too.
"""

import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from shadowline.errors import StationError
from station.archive.export import MANIFEST
from station.console.teach.decisions import Labelled
from station.console.teach.item import Box, Source, group_of

__all__ = ["ABOUT", "GROUP_PATTERN", "DataSet", "Sets"]

GROUP_PATTERN: Final = "^([^-]+)--"
ABOUT: Final = "set.json"
_FEWEST: Final = 2
"""Pictures that a class needs; training takes none with less."""
_FEWEST_GROUPS: Final = 6
"""Coils, parts or minutes; of fewer no fair split can be made, so frames are shared out one by one, which is told."""
_MOST_SETS: Final = 50


class DataSet(msgspec.Struct, frozen=True):
    """What `set.json` says."""

    id: str
    by: str
    made_ns: int
    classes: dict[str, int]
    groups: dict[str, int]
    """Of each class: coils, parts or minutes that its pictures are of."""
    by_frame: bool = False
    """Whether they are too few for a split by them, so that frames of one may stand on two sides."""
    left_out: tuple[str, ...] = ()
    """Which decisions are not in it, and why."""


class _Line(msgspec.Struct, frozen=True):
    """A line of `pictures.jsonl`."""

    path: str
    label: str
    was: str
    by: str
    decided_ns: int
    shown_px: Box
    drawn_px: Box | None
    source: Source


@dataclass(slots=True)
class _Chosen:
    """Numbers of decisions by class, and why others are not among them."""

    classes: dict[str, set[int]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)


class Sets:
    """The folder of data sets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def make(self, rows: Callable[[], Iterable[Labelled]], by: str) -> DataSet:
        """Write a new set of the decisions that `rows` gives, which is gone through twice and never held as a whole.

        Raises `StationError` where they are too few to learn from.
        """
        if len(self.all()) >= _MOST_SETS:
            raise StationError(f"there are {_MOST_SETS} data sets: delete one first")
        chosen = _choose(rows())
        if len(chosen.classes) < 2:
            why = f" ({'; '.join(chosen.left_out)})" if chosen.left_out else ""
            raise StationError(f"too little to learn from: review two classes with {_FEWEST} pictures each{why}")
        number = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        work, target = self._folder / f".{number}", self._folder / number
        if target.exists():
            raise StationError("a set was made this very second: wait a moment")
        shutil.rmtree(work, ignore_errors=True)
        try:
            made = _write(work, number, rows(), chosen, by)
            work.rename(target)
        except OSError as fault:
            shutil.rmtree(work, ignore_errors=True)
            raise StationError(f"{target}: can't be written: {fault.strerror}") from None
        return made

    def all(self) -> list[DataSet]:
        """Return every set, the newest first."""
        found = [_read(path) for path in self._folder.glob(f"[0-9]*/{ABOUT}")]
        return sorted((one for one in found if one is not None), key=lambda one: one.id, reverse=True)

    def find(self, number: str) -> tuple[DataSet, Path]:
        """Return a set and its folder. Raises `StationError` where there is none of this id."""
        found = next((one for one in self.all() if one.id == number), None)
        if found is None:
            raise StationError("there is no such data set")
        return found, self._folder / found.id

    def delete(self, number: str) -> None:
        """Remove a set; the decisions stay, and trainings keep their own pictures."""
        shutil.rmtree(self.find(number)[1])

    def zip(self, number: str) -> Path:
        """Return the set as one ZIP file, made when it is first asked for."""
        _, folder = self.find(number)
        target, part = self._folder / number / f"{number}.zip", self._folder / number / f".{number}.zip.part"
        if not target.exists():
            with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
                for path in sorted(folder.rglob("*")):
                    if path.is_file() and not path.name.startswith(".") and path.suffix != ".zip":
                        archive.write(path, f"{number}/{path.relative_to(folder)}")
            part.rename(target)
        return target


def _choose(rows: Iterable[Labelled]) -> _Chosen:
    """Return what can be learnt from: no picture in two classes, no class of one."""
    chosen = _Chosen()
    label_of: dict[str, str] = {}
    for row in rows:
        label = row.decided.label
        other = label_of.setdefault(sha256(row.png).hexdigest(), label)
        if other != label:
            chosen.left_out.append(f"{row.decided.target}: the same pixels are {other} and {label}")
        else:
            chosen.classes.setdefault(label, set()).add(row.decided.n)
            chosen.groups.add(group_of(row.decided.source))
    for label in [label for label, found in chosen.classes.items() if len(found) < _FEWEST]:
        chosen.left_out.append(f"{label}: only {len(chosen.classes.pop(label))} picture")
    return chosen


def _write(folder: Path, number: str, rows: Iterable[Labelled], chosen: _Chosen, by: str) -> DataSet:
    folder.mkdir()
    by_frame = len(chosen.groups) < _FEWEST_GROUPS
    counts, groups = Counter[str](), dict[str, set[str]]()
    with (folder / MANIFEST).open("wb") as manifest:
        for row in rows:
            label = row.decided.label
            if row.decided.n in chosen.classes.get(label, ()):
                line = _describe(row, by_frame)
                (folder / label).mkdir(exist_ok=True)
                (folder / line.path).write_bytes(row.png)
                manifest.write(msgspec.json.encode(line) + b"\n")
                counts[label] += 1
                groups.setdefault(label, set()).add(group_of(row.decided.source))
    of_each = {label: len(found) for label, found in groups.items()}
    made = DataSet(number, by, time.time_ns(), dict(counts), of_each, by_frame, tuple(chosen.left_out))
    (folder / ABOUT).write_bytes(msgspec.json.encode(made))
    return made


def _describe(row: Labelled, by_frame: bool) -> _Line:
    decided, source = row.decided, row.decided.source
    region = source.region_px or decided.box
    if source.name:
        words = f"sent-{decided.target}"
    else:
        words = f"{source.camera}-{source.event:012d}-{source.run}-{'-'.join(map(str, region or row.shown_px))}"
    drawn = decided.box if decided.box is not None and decided.box != region else None
    group = f"{group_of(source)}_{source.event}" if by_frame else group_of(source)
    path = f"{decided.label}/{group}--{words}.png"
    who, when_ns = decided.person, decided.decided_ns
    return _Line(path, decided.label, decided.old_label, who, when_ns, row.shown_px, drawn, source)


def _read(path: Path) -> DataSet | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=DataSet)
    except (OSError, msgspec.DecodeError):
        return None
