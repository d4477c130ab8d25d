"""Boxes of Pascal VOC files in the pixels of the pictures at hand, and their faults. Pure but for reading."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias, get_args

from shadowline.errors import StationError
from training.data.tree import Tree

__all__ = [
    "BOX_FAULTS",
    "Box",
    "BoxFault",
    "Boxes",
    "box_notes",
    "boxes_of",
    "read_annotation",
    "read_annotation_or_fault",
    "read_boxes",
    "usable_boxes",
    "with_box_labels",
]

Box: TypeAlias = tuple[str, tuple[int, int, int, int]]
"""Label, and x, y, w, h in pixels."""

BoxFault: TypeAlias = Literal["missing", "damaged", "unknown", "empty", "outside", "disagrees"]
"""No file, no VOC file, a name that is no class, a box without area or beyond the picture, none of its own label."""

BOX_FAULTS: Mapping[BoxFault, str] = {
    "missing": "that are missing: no file of the picture's name",
    "damaged": "in a file that can't be read",
    "unknown": "of a name that is no class, dropped",
    "empty": "without area, dropped",
    "outside": "that reach beyond their picture, cut to it",
    "disagrees": "none of which has the picture's own label",
}
"""Each fault as words that follow "boxes"."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Boxes:
    """The usable boxes of one file, and its faults as kind and what was found."""

    boxes: tuple[Box, ...] = ()
    faults: tuple[tuple[BoxFault, str], ...] = ()


def read_boxes(
    path: Path,
    aliases: Mapping[str, str] | None = None,
    size: tuple[int, int] | None = None,
    full: tuple[int, int] | None = None,
) -> tuple[Box, ...]:
    """Return label and box x, y, w, h of every object of a Pascal VOC file, each once, by the box's own name.

    A trailing number of a name is not part of it; `aliases` is asked for the whole name first. With the picture's
    `size` (width, height) boxes are scaled from `full`, or from the file's own size where that is not given, and cut
    to the picture. Raises `StationError` when the file can't be read.
    """
    return read_annotation(path, None, aliases, size, full).boxes


def read_annotation(
    path: Path,
    labels: Collection[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    size: tuple[int, int] | None = None,
    full: tuple[int, int] | None = None,
) -> Boxes:
    """Return what `read_boxes` does, only of `labels` where they are given, together with what is wrong.

    Raises `StationError` when the file can't be read.
    """
    try:
        root = ElementTree.parse(path).getroot()
        found = [
            (_label(_text(o, "name"), aliases or {}), [float(_text(o, f"bndbox/{key}")) for key in _CORNERS])
            for o in root.findall("object")
        ]
        scale = _scale(size, full or _size(root))
    except (OSError, ElementTree.ParseError, ValueError) as fault:
        raise StationError(f"{path}: not a Pascal VOC annotation: {fault}") from fault
    scaled = (
        (label, [corner * factor for corner, factor in zip(corners, scale * 2, strict=True)])
        for label, corners in found
    )
    return usable_boxes(scaled, labels, size)


def usable_boxes(
    found: Iterable[tuple[str, Sequence[float]]], labels: Collection[str] | None, size: tuple[int, int] | None
) -> Boxes:
    """Return what of labels and corners (left, top, right, bottom) can be used, each box once, and what is wrong.

    With the picture's `size` (width, height) boxes are cut to it; only boxes of `labels` stay where they are given.
    """
    boxes: list[Box] = []
    faults: list[tuple[BoxFault, str]] = []
    for label, corners in found:
        box, wrong = _fit(corners, size)
        if labels is not None and label not in labels:
            faults.append(("unknown", label))
            continue
        if wrong is not None:
            faults.append((wrong, f"{label} at {', '.join(f'{corner:g}' for corner in corners)}"))
        if box is not None:
            boxes.append((label, box))
    return Boxes(tuple(dict.fromkeys(boxes)), tuple(faults))


def boxes_of(
    tree: Tree, folder: Path, aliases: Mapping[str, str] | None = None, full: tuple[int, int] | None = None
) -> dict[str, Boxes]:
    """Return the boxes of every picture of a tree, by its path, with all that is wrong: nothing is raised."""
    labels = frozenset(tree.labels)
    found = {}
    for path, label, image in zip(tree.paths, tree.labels, tree.images, strict=True):
        file = folder / f"{PurePosixPath(path).stem}.xml"
        found[path] = read_annotation_or_fault(file, label, labels, aliases, (image.shape[1], image.shape[0]), full)
    return found


def with_box_labels(
    tree: Tree, folder: Path, aliases: Mapping[str, str] | None = None, full: tuple[int, int] | None = None
) -> Tree:
    """Return the tree with the boxes' labels in `also`, beside each picture's own, and their faults as notes."""
    found = boxes_of(tree, folder, aliases, full)
    also = {}
    for path, label in zip(tree.paths, tree.labels, strict=True):
        others = dict.fromkeys((*tree.also.get(path, ()), *(name for name, _ in found[path].boxes)))
        also[path] = tuple(sorted(name for name in others if name != label))
    return replace(
        tree, also={path: names for path, names in also.items() if names}, notes=(*tree.notes, *box_notes(found))
    )


def box_notes(found: Mapping[str, Boxes]) -> list[str]:
    """Return one sentence a kind of fault, with its number of pictures and the first of them."""
    notes = []
    for kind in get_args(BoxFault):
        faults = [(path, text) for path, boxes in found.items() for name, text in boxes.faults if name == kind]
        if faults:
            pictures = len({path for path, _ in faults})
            notes.append(f"boxes {BOX_FAULTS[kind]}: {pictures} pictures, first {faults[0][0]} ({faults[0][1]})")
    return notes


def read_annotation_or_fault(
    file: Path,
    label: str,
    labels: Collection[str] | None,
    aliases: Mapping[str, str] | None,
    size: tuple[int, int],
    full: tuple[int, int] | None,
) -> Boxes:
    """Return the boxes of one picture; a file that is missing or damaged is a fault like the others.

    So are boxes none of which has the picture's own `label`, where it has one.
    """
    if not file.is_file():
        return Boxes(faults=(("missing", file.name),))
    try:
        found = read_annotation(file, labels, aliases, size, full)
    except StationError as fault:
        return Boxes(faults=(("damaged", str(fault)),))
    names = sorted({name for name, _ in found.boxes})
    if not label or label in names:
        return found
    return replace(
        found, faults=(*found.faults, ("disagrees", f"{label}, but boxes of {', '.join(names) or 'nothing'}"))
    )


def _label(name: str, aliases: Mapping[str, str]) -> str:
    plain = re.sub(r"\d+$", "", name)
    return aliases.get(name, aliases.get(plain, plain))


def _scale(size: tuple[int, int] | None, full: tuple[int, int] | None) -> tuple[float, float]:
    """Return the factors in x and y from annotated to picture pixels; 1 where one of the two sizes is not known."""
    return (size[0] / full[0], size[1] / full[1]) if size and full else (1.0, 1.0)


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return the <size> element's width and height, None where it is missing or holds a zero."""
    width, height = (int(root.findtext(f"size/{key}") or 0) for key in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def _fit(
    corners: Sequence[float], size: tuple[int, int] | None
) -> tuple[tuple[int, int, int, int] | None, BoxFault | None]:
    """Return corners left, top, right, bottom as whole pixels x, y, w, h inside it, and what was wrong.""" ""
    left, top, right, bottom = corners
    if not all(map(math.isfinite, corners)) or right <= left or bottom <= top:
        return None, "empty"
    x, y, x_end, y_end = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
    if size is None:
        return (x, y, x_end - x, y_end - y), None
    inside = max(x, 0), max(y, 0), min(x_end, size[0]), min(y_end, size[1])
    fault: BoxFault | None = None if inside == (x, y, x_end, y_end) else "outside"
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return None, fault
    return (inside[0], inside[1], inside[2] - inside[0], inside[3] - inside[1]), fault


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no {path}")
    return text.strip()
