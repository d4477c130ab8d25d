"""Masks of defects: the file of a picture, its components, and what is wrong with it. Pure but for reading."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from shadowline.errors import StationError
from training.data.tree import is_picture, read_levels

__all__ = ["Mask", "mask_notes", "read_mask", "read_mask_of"]

MaskFault: TypeAlias = Literal["missing", "damaged", "size", "empty"]
_FAULTS: Mapping[MaskFault, str] = {
    "missing": "that are missing: no file of the picture's name",
    "damaged": "that can't be read",
    "size": "of another size than their picture",
    "empty": "without a defect, though their folder is not called defect-free (`good`)",
}


@dataclass(frozen=True, slots=True)
class Mask:
    """The mask file of a picture, x, y, w, h of its 8-connected components, and what is wrong, as kind and words."""

    file: Path | None
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    fault: tuple[MaskFault, str] | None = None


def read_mask_of(folder: Path, path: str, size_px: tuple[int, int]) -> Mask:
    """Return the mask of the picture at `path`: of its name, at its place below the folder or in the folder."""
    file = _mask_file(folder, path)
    if file is None:
        return Mask(None, fault=("missing", path))
    try:
        defect = read_mask(file)
    except StationError as fault:
        return Mask(file, fault=("damaged", str(fault)))
    if defect.shape[::-1] != size_px:
        return Mask(file, fault=("size", f"{file.name}: {defect.shape[1]}x{defect.shape[0]}"))
    boxes = _component_boxes(defect)
    return Mask(file, boxes, None if boxes else ("empty", file.name))


def read_mask(file: Path) -> NDArray[np.bool_]:
    """Return where a mask is not zero, [H,W]. Raises `StationError` when it can't be read."""
    return read_levels(file)[0] > 0


def mask_notes(masks: Mapping[str, Mask]) -> Iterable[str]:
    """Yield one sentence a kind of fault, with its number of pictures and the first of them."""
    for kind, words in _FAULTS.items():
        faults = [mask.fault[1] for mask in masks.values() if mask.fault and mask.fault[0] == kind]
        if faults:
            yield f"masks {words}: {len(faults)} pictures, first {faults[0]}"


def _mask_file(folder: Path, path: str) -> Path | None:
    stem = PurePosixPath(path).stem
    for place in (folder / PurePosixPath(path).parent, folder):
        found = sorted(file for file in place.glob(f"{stem}.*") if is_picture(file) and file.stem == stem)
        if found:
            return found[0]
    return None


def _component_boxes(defect: NDArray[np.bool_]) -> tuple[tuple[int, int, int, int], ...]:
    stats = cv2.connectedComponentsWithStats(defect.astype(np.uint8), connectivity=8)[2][1:]
    return tuple((x, y, w, h) for x, y, w, h, _ in stats.tolist())
