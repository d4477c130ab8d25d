"""Boxes of a COCO file, by picture. Pure but for reading."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import msgspec

from shadowline.errors import StationError
from training.data.boxes import Boxes, usable_boxes

__all__ = ["CocoFile", "read_coco"]

_Number: TypeAlias = int | str


class _Image(msgspec.Struct):
    id: _Number
    file_name: str
    width: int = 0
    height: int = 0


class _Annotation(msgspec.Struct):
    image_id: _Number
    category_id: _Number
    bbox: tuple[float, float, float, float]


class _Category(msgspec.Struct):
    id: _Number
    name: str


class _Coco(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


_Marks: TypeAlias = list[tuple[str, tuple[float, float, float, float]]]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """The pictures of a COCO file with their size and boxes; `by_name` holds names that only one of them has."""

    file: Path
    by_path: Mapping[str, tuple[tuple[int, int], _Marks]]
    by_name: Mapping[str, str]

    def boxes(self, path: str, labels: Collection[str] | None, size: tuple[int, int]) -> Boxes:
        """Return the boxes of the picture at `path` in its `size`; a picture that the file does not name is a fault."""
        stated = path if path in self.by_path else self.by_name.get(PurePosixPath(path).name)
        if stated is None:
            return Boxes(faults=(("missing", f"not in {self.file.name}"),))
        full, marks = self.by_path[stated]
        scale = (size[0] / full[0], size[1] / full[1]) if min(full) > 0 else (1.0, 1.0)
        return usable_boxes([(label, _corners(box, scale)) for label, box in marks], labels, size)


def read_coco(file: Path, aliases: Mapping[str, str]) -> CocoFile:
    """Read a COCO file's boxes. Raises `StationError` when it is none, or names a picture or class that it lacks."""
    try:
        coco = msgspec.json.decode(file.read_bytes(), type=_Coco)
    except (OSError, msgspec.MsgspecError, ValueError) as fault:
        raise StationError(f"{file}: not a COCO file of boxes: {fault}") from fault
    names = {category.id: aliases.get(category.name, category.name) for category in coco.categories}
    paths = {image.id: image.file_name for image in coco.images}
    marks: dict[str, _Marks] = {image.file_name: [] for image in coco.images}
    for box in coco.annotations:
        if box.image_id not in paths or box.category_id not in names:
            raise StationError(f"{file}: a box of picture {box.image_id}, class {box.category_id}: one is not in it")
        marks[paths[box.image_id]].append((names[box.category_id], box.bbox))
    by_path = {image.file_name: ((image.width, image.height), marks[image.file_name]) for image in coco.images}
    return CocoFile(file, by_path, _unique_names(list(by_path)))


def _unique_names(paths: Sequence[str]) -> dict[str, str]:
    counts = Counter(PurePosixPath(path).name for path in paths)
    return {PurePosixPath(path).name: path for path in paths if counts[PurePosixPath(path).name] == 1}


def _corners(box: tuple[float, float, float, float], scale: tuple[float, float]) -> list[float]:
    x, y, w, h = box
    return [x * scale[0], y * scale[1], (x + w) * scale[0], (y + h) * scale[1]]
