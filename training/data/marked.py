"""Pictures with what is marked in them: boxes of VOC, COCO or YOLO files, or masks; their faults; their split. Pure
but for reading.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from shadowline.errors import StationError
from station.config import Table
from training.data.boxes import Boxes, box_notes, read_annotation_or_fault
from training.data.groups import detail, group_details
from training.data.manifest import Manifest, Picture, Split, sides_of
from training.data.marks_coco import read_coco
from training.data.marks_mask import Mask, mask_notes, read_mask, read_mask_of
from training.data.marks_yolo import read_yolo, read_yolo_names
from training.data.tree import deep_bits, is_picture, read_grey, read_levels

__all__ = ["FRACTIONS", "MarkSettings", "Marked", "manifest_of", "read_marked", "split_marked"]

_NO_MASK = Mask(None)

FRACTIONS: Mapping[Split, float] = {"train": 0.7, "val": 0.1, "test": 0.2}


class MarkSettings(Table):
    """Where the pictures are and where their marks; paths are below the data folder."""

    pictures: Path = Path(".")
    """Folder of pictures, at any depth; the folder that a picture stands in is its label."""
    boxes: Path | None = None
    """Folder of Pascal VOC files with the pictures' names."""
    coco: Path | None = None
    """COCO file of boxes."""
    yolo: Path | None = None
    """Folder of YOLO text files, laid out as the pictures are or flat."""
    yolo_names: Path | None = None
    """Class names of the YOLO files: text, a line each, or YAML [default: classes.txt in their folder]."""
    masks: Path | None = None
    """Folder of masks (non-zero is defect) with the pictures' names, laid out as the pictures are or flat."""
    labels: tuple[str, ...] = ()
    """Names of boxes that count [default: of VOC files those of the folders, where there are any; else all]."""
    good: frozenset[str] = frozenset()
    """Folders of defect-free pictures, which need no marks."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Other spellings of folders and box names: name found → label meant."""
    box_size_px: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    """Width and height that VOC boxes are given in, where the files do not say or the pictures were resized."""
    group_pattern: str | None = None
    """Regular expression on file names; pictures whose first group is equal (a strip, a part) share a side."""

    @model_validator(mode="after")
    def _one_source_of_boxes(self) -> "MarkSettings":
        if sum(source is not None for source in (self.boxes, self.coco, self.yolo)) > 1:
            raise ValueError("boxes, coco and yolo exclude each other")
        return self


@dataclass(frozen=True, slots=True)
class Marked:
    """One picture and what is marked in it; pixels are read when asked.

    `path` is below the folder of pictures, `size_px` width and height; `boxes` int32 [n,4] are x, y, w, h inside it,
    with a mask alone those of its components. `mask` is a picture of the same size, non-zero is defect. `group` is
    shared by what belongs on one side of a split; `label` is the folder that the picture stands in, or empty.
    """

    path: str
    file: Path
    size_px: tuple[int, int]
    boxes: NDArray[np.int32]
    labels: tuple[str, ...]
    mask: Path | None
    group: str
    label: str
    sha256: str
    bits: int = 16
    """How many bits its 16-bit files use."""

    def image(self) -> NDArray[np.uint8]:
        """Read the picture, grey [H,W]."""
        return read_grey(self.file, self.bits)

    def defect(self) -> NDArray[np.bool_]:
        """Return where a defect is, [H,W]: the mask, or without one the filled boxes."""
        if self.mask is not None:
            return read_mask(self.mask)
        found = np.zeros((self.size_px[1], self.size_px[0]), np.bool_)
        for x, y, w, h in self.boxes.tolist():
            found[y : y + h, x : x + w] = True
        return found

    @property
    def is_good(self) -> bool:
        """Whether nothing is marked."""
        return not self.labels


@dataclass(frozen=True, slots=True)
class _File:
    """A picture file as it was read once: size, label, and what tells its copies and twins."""

    path: str
    file: Path
    label: str
    size_px: tuple[int, int]
    sha256: str
    detail: NDArray[np.float32]
    bits: int


@dataclass(frozen=True, slots=True)
class _Marks:
    """What is marked in one picture, and what is wrong with that."""

    boxes: Boxes
    mask: Mask = _NO_MASK


_Marker: TypeAlias = Callable[[_File], _Marks]


def read_marked(data: Path, settings: MarkSettings) -> tuple[tuple[Marked, ...], tuple[str, ...]]:
    """Return the pictures of which is known what is in them, and the faults of the others, one sentence a kind.

    A picture without marks is left out, unless its folder is called defect-free or its own file of boxes or mask says
    that nothing is there; so is one whose every box had to be dropped, and the second of two equal files in different
    folders. Raises `StationError` when no picture is left, and `ConfigError` for a group pattern that fits none.
    """
    files, notes = _read_files(data / settings.pictures, settings)
    mark = _marker(data, settings, files)
    marks = {file.path: mark(file) for file in files}
    left_out = {path for path, found in marks.items() if _is_unknown(found)}
    kept = [file for file in files if file.path not in left_out]
    notes += [
        *box_notes({path: found.boxes for path, found in marks.items()}),
        *mask_notes({path: found.mask for path, found in marks.items()}),
    ]
    if left_out:
        notes.append(f"pictures of which is not known what is in them, left out: {len(left_out)}")
    if not kept:
        raise StationError("\n".join((f"{data / settings.pictures}: no picture with marks", *notes)))
    groups = group_details(
        [file.path for file in kept],
        [file.sha256 for file in kept],
        [file.detail for file in kept],
        settings.group_pattern,
    )
    bits = max(file.bits for file in kept)
    pictures = tuple(
        _marked(file, marks[file.path], kept[group].path, bits)
        for file, group in zip(kept, groups.tolist(), strict=True)
    )
    return pictures, tuple(notes)


def split_marked(
    pictures: Sequence[Marked], seed: int = 1, fractions: Mapping[Split, float] = FRACTIONS, fold: int | None = None
) -> dict[Split, tuple[Marked, ...]]:
    """Share pictures out by label and by group, so that no copy, near twin, strip or part stands on two sides.

    Same seed, same split, the one of `make_manifest` for the same pictures. A picture in no folder counts as one of its
    most frequent box label. Raises `ConfigError` when the fractions do not sum to 1 or have no such fold.
    """
    order = {group: row for row, group in enumerate(dict.fromkeys(picture.group for picture in pictures))}
    groups = np.array([order[picture.group] for picture in pictures], np.int64)
    sides = sides_of([_stratum(picture) for picture in pictures], groups, seed, fractions, fold)
    return {
        name: tuple(picture for picture, side in zip(pictures, sides, strict=True) if side == name)
        for name in get_args(Split)
    }


def manifest_of(sides: Mapping[Split, Sequence[Marked]], seed: int, notes: Sequence[str] = ()) -> Manifest:
    """Return the manifest of a split; its labels are those of the boxes, in order of the alphabet."""
    rows = sorted(((picture, side) for side in sides for picture in sides[side]), key=lambda row: row[0].path)
    order = {group: row for row, group in enumerate(dict.fromkeys(picture.group for picture, _ in rows))}
    names = sorted({label for picture, _ in rows for label in picture.labels})
    pictures = tuple(
        Picture(
            path=picture.path,
            label=_stratum(picture),
            also=tuple(sorted(set(picture.labels) - {_stratum(picture)})),
            sha256=picture.sha256,
            group=order[picture.group],
            split=side,
        )
        for picture, side in rows
    )
    return Manifest(seed=seed, labels=tuple(names) or ("good",), pictures=pictures, notes=tuple(notes))


def _read_files(root: Path, settings: MarkSettings) -> tuple[list[_File], list[str]]:
    """Return every picture below `root` in order of the paths, and what was wrong with the others."""
    if not root.is_dir():
        raise StationError(f"{root}: no such folder of pictures")
    first: dict[str, _File] = {}
    files, unreadable, copies = [], [], []
    for path in sorted(path for path in root.rglob("*") if path.is_file() and is_picture(path)):
        try:
            file = _read_file(root, path, settings.aliases)
        except StationError as fault:
            unreadable.append(str(fault))
            continue
        if first.setdefault(file.sha256, file).label == file.label:
            files.append(file)
        else:
            copies.append(file.path)
    notes = [f"pictures that can't be read, left out: {len(unreadable)}, first {unreadable[0]}"] if unreadable else []
    if copies:
        notes.append(f"pictures that stand in several folders, kept in the first: {len(copies)}, first {copies[0]}")
    return files, notes


def _read_file(root: Path, file: Path, aliases: Mapping[str, str]) -> _File:
    levels, sha256 = read_levels(file)
    path = file.relative_to(root)
    bits = deep_bits([levels])
    shallow = levels if levels.dtype == np.uint8 else (levels >> (bits - 8)).astype(np.uint8)
    label = aliases.get(path.parent.name, path.parent.name)
    size_px = (levels.shape[1], levels.shape[0])
    return _File(path.as_posix(), file, label, size_px, sha256, detail(shallow), bits)


def _marker(data: Path, settings: MarkSettings, files: Sequence[_File]) -> _Marker:
    """Return what reads the marks of a picture, as the settings say; defect-free ones need none."""
    boxes = _box_reader(data, settings, files)
    masks = None if settings.masks is None else data / settings.masks

    def mark(file: _File) -> _Marks:
        if file.label in settings.good:
            return _Marks(Boxes())
        found = None if boxes is None else boxes(file)
        if masks is None:
            return _Marks(found or Boxes(faults=(("missing", "no marks named"),)))
        mask = read_mask_of(masks, file.path, file.size_px)
        return _Marks(found or Boxes(tuple((file.label, box) for box in mask.boxes)), mask)

    return mark


def _box_reader(data: Path, settings: MarkSettings, files: Sequence[_File]) -> Callable[[_File], Boxes] | None:
    """Return what reads the boxes of a picture, None where the settings name no boxes."""
    labels: Collection[str] | None = settings.labels or None
    if settings.boxes is not None:
        folder = data / settings.boxes
        known = labels or {file.label for file in files} - settings.good - {""} or None
        aliases, size_px = settings.aliases, settings.box_size_px

        def read(file: _File) -> Boxes:
            own = file.label if known and file.label in known else ""
            annotation = folder / f"{PurePosixPath(file.path).stem}.xml"
            return read_annotation_or_fault(annotation, own, known, aliases, file.size_px, size_px)

        return read
    if settings.coco is not None:
        coco = read_coco(data / settings.coco, settings.aliases)
        return lambda file: coco.boxes(file.path, labels, file.size_px)
    if settings.yolo is not None:
        texts = data / settings.yolo
        names = read_yolo_names(
            texts / "classes.txt" if settings.yolo_names is None else data / settings.yolo_names, settings.aliases
        )
        return lambda file: read_yolo(texts, file.path, names, labels, file.size_px)
    return None


def _is_unknown(marks: _Marks) -> bool:
    """Whether it is not known what is in the picture: faults, and nothing that stands in spite of them."""
    return marks.mask.fault is not None or (bool(marks.boxes.faults) and not marks.boxes.boxes)


def _marked(file: _File, marks: _Marks, group: str, bits: int) -> Marked:
    return Marked(
        path=file.path,
        file=file.file,
        size_px=file.size_px,
        boxes=np.array([box for _, box in marks.boxes.boxes], np.int32).reshape(-1, 4),
        labels=tuple(label for label, _ in marks.boxes.boxes),
        mask=marks.mask.file,
        group=group,
        label=file.label,
        sha256=file.sha256,
        bits=bits,
    )


def _stratum(picture: Marked) -> str:
    """Return the label by which a picture is shared out: its folder's, or its most frequent box's."""
    return picture.label or max(picture.labels, key=picture.labels.count, default="good")
