"""What operators confirmed, as a training set: an archive's whole frames with the boxes that somebody looked at.

`station archive export` writes a crop a region into a folder a label. Whoever looks through them moves what is named
wrongly to its label's folder, false alarms to `not-a-defect`, and removes what can't be told. A frame of which every
region was judged so is a picture to learn from. A set of the console's review is such a folder too, and may have boxes
that somebody drew. Pure but for files.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote

import msgspec

from shadowline.errors import StationError
from station.archive.export import MANIFEST, NOT_A_DEFECT, read_picture
from station.archive.shelf import minutes, names, read_evidence
from training.data.marked import MarkSettings
from training.report.folder import fresh_folder

__all__ = ["NOT_A_DEFECT", "REVIEWED", "write_reviewed"]

REVIEWED: Final = MarkSettings(pictures=Path("frames"), coco=Path("marks.json"), group_pattern="^(.+)--")
"""Where `write_reviewed` puts pictures and marks."""

_CROP: Final = re.compile(r".+-(\d{12,18}-[0-9a-f]{12})-(\d+)-(\d+)-(\d+)-(\d+)\.png")
"""An exported crop's name: camera, then event and run as the evidence's folder has them, then the region's box."""

_Box: TypeAlias = tuple[int, int, int, int]
_Mark: TypeAlias = tuple[str, _Box]
_Judged: TypeAlias = dict[str, dict[_Box, _Mark]]
"""Name of an evidence folder → box of a region → label, and the box that somebody drew or else the region's."""


class _Line(msgspec.Struct, frozen=True):
    """What is read of a line of the folder's manifest."""

    path: str
    drawn_px: _Box | None = None
    """The box that somebody drew in place of the region's."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A whole frame with its confirmed boxes; what has the same `group` stays on one side of a split."""

    name: str
    group: str
    content: bytes
    size_px: tuple[int, int]
    marks: tuple[_Mark, ...]

    @property
    def file_name(self) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self.group)}--{self.name}.jpg"


def write_reviewed(looked_through: Path, archive: Path, folder: Path) -> tuple[str, ...]:
    """Write the frames of `archive` whose regions were all judged into the new `folder`; return why others were not.

    `looked_through` is an exported folder of crops after somebody went through it. Frames of one coil, or of one minute
    where no coil is known, belong together. `folder` is there when it is whole. Raises `StationError` when no frame is
    left, or `folder` can't be written.
    """
    judged = _judgements(looked_through)
    left_out: dict[str, list[str]] = {}
    if folder.exists():
        raise StationError(f"{folder}: is there already: go on with --resume, or take another --run folder")
    with fresh_folder(folder) as fresh:
        frames = _write(_frames(archive, judged, left_out), fresh)
        if judged:
            left_out["no longer in the archive"] = sorted(judged)
        notes = tuple(f"frames {why}, left out: {len(found)}, first {found[0]}" for why, found in left_out.items())
        if not frames:
            raise StationError("\n".join((f"{looked_through}: no frame of {archive} to learn from", *notes)))
    return notes


def _judgements(folder: Path) -> _Judged:
    """Return what somebody said of each region, by the folders that the crops are in now."""
    judged: _Judged = {}
    drawn = _drawn(folder / MANIFEST)
    for file in sorted(folder.glob("*/*.png")):
        if found := _CROP.fullmatch(file.name):
            name, x, y, w, h = found.groups()
            box = int(x), int(y), int(w), int(h)
            judged.setdefault(name, {})[box] = unquote(file.parent.name), drawn.get(file.name, box)
    if not judged:
        raise StationError(f"{folder}: no crops of `station archive export` in folders of labels")
    return judged


def _drawn(manifest: Path) -> dict[str, _Box]:
    """Return the boxes that somebody drew, by the names of their crops. Raises `StationError` for no manifest."""
    try:
        lines = msgspec.json.Decoder(_Line).decode_lines(manifest.read_bytes()) if manifest.is_file() else []
    except (OSError, msgspec.DecodeError) as fault:
        raise StationError(f"{manifest}: can't be read: {fault}") from fault
    return {Path(line.path).name: line.drawn_px for line in lines if line.drawn_px is not None}


def _frames(archive: Path, judged: _Judged, left_out: dict[str, list[str]]) -> Iterator[_Frame]:
    """Yield the frames that can be learnt from; what was looked at is taken out of `judged`, others are told."""
    for minute in minutes(archive):
        for name in sorted(names(archive, minute) & set(judged)):
            found = _frame(archive / minute / name, judged.pop(name))
            if isinstance(found, _Frame):
                yield found
            else:
                left_out.setdefault(found, []).append(name)


def _frame(place: Path, judged: Mapping[_Box, _Mark]) -> _Frame | str:
    """Return a frame with its confirmed boxes, or why it can't be learnt from."""
    try:
        evidence = read_evidence(place)
        whole = next((picture for picture in evidence.pictures if picture.defect is None), None)
        if whole is None:
            return "of which only crops were kept"
        boxes = [defect.box_px for defect in evidence.event.defects]
        if not judged.keys() >= set(boxes):
            return "with a region that nobody judged"
        content = read_picture(place, whole)
    except StationError:
        return "whose evidence is damaged"
    position = evidence.event.position
    missed = [box for box in judged if box not in boxes]
    return _Frame(
        name=place.name,
        group=position.coil if position and position.coil else "-".join(place.parts[-4:-1]),
        content=content,
        size_px=whole.box_px[2:],
        marks=tuple(judged[box] for box in (*boxes, *missed) if judged[box][0] != NOT_A_DEFECT),
    )


def _write(frames: Iterator[_Frame], folder: Path) -> int:
    """Write frames and a COCO file of their boxes into `folder`; return how many."""
    (folder / REVIEWED.pictures).mkdir(parents=True)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    labels: dict[str, int] = {}
    for frame in frames:
        (folder / REVIEWED.pictures / frame.file_name).write_bytes(frame.content)
        width, height = frame.size_px
        images.append({"id": len(images), "file_name": frame.file_name, "width": width, "height": height})
        annotations += [
            {"image_id": len(images) - 1, "category_id": labels.setdefault(label, len(labels)), "bbox": box}
            for label, box in frame.marks
        ]
    categories = [{"id": number, "name": label} for label, number in labels.items()]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    (folder / str(REVIEWED.coco)).write_bytes(msgspec.json.encode(coco))
    return len(images)
