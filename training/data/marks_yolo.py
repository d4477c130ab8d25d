"""Boxes of YOLO text files, a file a picture: class number, centre and size as parts of the picture. Pure but for
reading.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from shadowline.errors import MissingExtra, StationError
from training.data.boxes import Boxes, usable_boxes

__all__ = ["read_yolo", "read_yolo_names"]


def read_yolo(
    folder: Path, path: str, names: Sequence[str], labels: Collection[str] | None, size: tuple[int, int]
) -> Boxes:
    """Return the boxes of the picture at `path`, from the text file of its name in `folder` or below.

    An empty file says that nothing is in the picture; a file that is missing or damaged is a fault.
    """
    places = (folder / PurePosixPath(path).with_suffix(".txt"), folder / f"{PurePosixPath(path).stem}.txt")
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        return Boxes(faults=(("missing", places[-1].name),))
    try:
        rows = [_row(line.split(), size) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as fault:
        return Boxes(faults=(("damaged", f"{file.name}: {fault}"),))
    known = set(names) if labels is None else set(names) & set(labels)
    return usable_boxes([(_name(names, number), corners) for number, corners in rows], known, size)


def read_yolo_names(file: Path, aliases: Mapping[str, str]) -> tuple[str, ...]:
    """Return the class names in their order: of a text file a line each, of a YAML file those at `names`.

    Raises `StationError` when there are none.
    """
    try:
        text = file.read_text(encoding="utf-8")
        found = _yaml_names(text) if file.suffix in (".yaml", ".yml") else text.split("\n")
        listed = [found[number] for number in range(len(found))]
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise StationError(f"{file}: no class names of YOLO files: a line each, or `names` in YAML") from fault
    names = tuple(str(name).strip() for name in listed)
    while names and not names[-1]:
        names = names[:-1]
    if not all(names):
        raise StationError(f"{file}: class names with gaps: a line each, none empty")
    return tuple(aliases.get(name, name) for name in names)


def _yaml_names(text: str) -> Any:
    """Return what stands at `names`: a list, or names by number. Raises `ValueError` for what is no YAML."""
    try:
        import yaml
    except ModuleNotFoundError as fault:
        raise MissingExtra("pyyaml", "training") from fault
    try:
        return yaml.safe_load(text)["names"]
    except yaml.YAMLError as fault:
        raise ValueError("not YAML") from fault


def _row(words: Sequence[str], size: tuple[int, int]) -> tuple[int, list[float]]:
    """Return class number and corners in pixels of one line."""
    number, x, y, w, h = words
    cx, cy, half_w, half_h = (float(x) * size[0], float(y) * size[1], float(w) * size[0] / 2, float(h) * size[1] / 2)
    return int(number), [cx - half_w, cy - half_h, cx + half_w, cy + half_h]


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else f"class {number}"
