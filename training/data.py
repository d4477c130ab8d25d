"""Folder-per-class picture trees, their twins and their split, kept as a JSON manifest. Pure but for reading files."""

import hashlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shadowline.errors import StationError

__all__ = [
    "Manifest",
    "Picture",
    "Split",
    "Tree",
    "make_manifest",
    "read_boxes",
    "read_grey",
    "read_manifest",
    "read_tree",
    "twin_groups",
]

Split: TypeAlias = Literal["train", "val", "test"]
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
_THUMB_PX = 48
_THUMB_SIGMA_PX = 3.0
_TWIN_CORRELATION = 0.85


class Picture(BaseModel):
    """One picture of a manifest; `path` is relative to the tree's root, `group` is shared by twins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    label: str
    sha256: str
    group: int
    split: Split


class Manifest(BaseModel):
    """Which picture serves for what, and which could not be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    seed: int
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    pictures: tuple[Picture, ...]
    skipped: dict[str, str] = {}
    """Path → why it was left out."""

    def of(self, split: Split) -> tuple[Picture, ...]:
        """Return the pictures of one side of the split."""
        return tuple(picture for picture in self.pictures if picture.split == split)

    def sha256(self) -> str:
        """Return the hash of every picture's hash, label and side, in order of the paths."""
        lines = (f"{p.path} {p.label} {p.sha256} {p.split}" for p in sorted(self.pictures, key=lambda p: p.path))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Tree:
    """The readable pictures below a folder-per-class root: a column each for path, class folder, pixels and hash."""

    root: Path
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    sha256: tuple[str, ...]
    skipped: dict[str, str]


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Return a picture file as grey uint8 [H,W]. Raises `StationError` when it can't be decoded."""
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error) as fault:
        raise StationError(f"{path}: not a readable picture ({type(fault).__name__})") from fault
    if image is None:
        raise StationError(f"{path}: not a readable picture")
    return np.asarray(image, np.uint8)


def read_tree(root: Path) -> Tree:
    """Read every picture of `root`/<class>/ in sorted order; unreadable ones are listed in `skipped`.

    Raises `StationError` when there is no class folder, or a class folder without a readable picture.
    """
    folders = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    if not folders:
        raise StationError(f"{root}: no class folders; expected <class>/<picture> below it")
    rows: list[tuple[str, str, NDArray[np.uint8], str]] = []
    skipped: dict[str, str] = {}
    for folder in folders:
        before = len(rows)
        for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
            name = path.relative_to(root).as_posix()
            try:
                image = read_grey(path)
            except StationError as fault:
                skipped[name] = str(fault)
                continue
            rows.append((name, folder.name, image, hashlib.sha256(path.read_bytes()).hexdigest()))
        if len(rows) == before:
            raise StationError(f"{folder}: no readable picture in this class folder; fill it or remove it")
    paths, labels, images, hashes = zip(*rows, strict=True)
    return Tree(root, paths, labels, images, hashes, skipped)


def twin_groups(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Return a group number a picture, int64 [n]: pictures whose thumbnails' detail correlates above 0.85 share one.

    Detail is what is finer than the light's fall-off. Exact copies correlate by 1, and so do flat pictures.
    """
    rows = np.stack([_detail(image) for image in images])
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, length, out=np.full_like(rows, 1 / _THUMB_PX), where=length > 1.0)
    groups = np.arange(len(images), dtype=np.int64)
    for first, second in np.argwhere(np.triu(rows @ rows.T > _TWIN_CORRELATION, 1)):
        groups[groups == groups[second]] = groups[first]
    return groups


def _detail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a small copy of a picture less its own blur, flattened."""
    thumb = cv2.resize(image, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(thumb - cv2.GaussianBlur(thumb, (0, 0), _THUMB_SIGMA_PX), np.float32).ravel()


def make_manifest(tree: Tree, seed: int, fractions: dict[Split, float]) -> Manifest:
    """Split a tree by class and by twin groups, so that no twin stands on two sides. Same seed, same split.

    A group counts for the class of its first picture. Raises `StationError` when the fractions do not sum to 1.
    """
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise StationError(f"split fractions {fractions} do not sum to 1")
    groups = twin_groups(tree.images)
    side = _sides(np.array(tree.labels), groups, np.random.default_rng(seed), fractions)
    pictures = tuple(
        Picture(path=path, label=label, sha256=sha256, group=int(group), split=side[int(group)])
        for path, label, sha256, group in zip(tree.paths, tree.labels, tree.sha256, groups, strict=True)
    )
    return Manifest(seed=seed, labels=tuple(sorted(set(tree.labels))), pictures=pictures, skipped=tree.skipped)


def _sides(
    labels: NDArray[np.str_], groups: NDArray[np.int64], rng: np.random.Generator, fractions: dict[Split, float]
) -> dict[int, Split]:
    """Return the side of each group: within a class, shuffled groups fill one side after the other."""
    sides: dict[int, Split] = {}
    for label in sorted(set(labels.tolist())):
        members = [int(g) for g in np.unique(groups[labels == label]) if int(g) not in sides]
        sizes = {g: int((groups == g).sum()) for g in members}
        order = rng.permutation(members).tolist()
        bounds = np.cumsum(list(fractions.values())) * sum(sizes.values())
        filled = 0
        for group in order:
            index = int(np.searchsorted(bounds, filled + sizes[group] / 2))
            sides[group] = list(fractions)[min(index, len(fractions) - 1)]
            filled += sizes[group]
    return sides


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises `StationError` when it is missing or not one."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as fault:
        raise StationError(f"{path}: not a split manifest of `station train fit`") from fault


def read_boxes(path: Path) -> tuple[tuple[str, tuple[int, int, int, int]], ...]:
    """Return label and box x, y, w, h of every object of a Pascal VOC file, each once, by the box's own name.

    A trailing number of a name is not part of it. Raises `StationError` when the file can't be read.
    """
    try:
        objects = ElementTree.parse(path).getroot().findall("object")
        found = [(_text(o, "name"), [int(_text(o, f"bndbox/{key}")) for key in _CORNERS]) for o in objects]
    except (OSError, ElementTree.ParseError, ValueError) as fault:
        raise StationError(f"{path}: not a Pascal VOC annotation: {fault}") from fault
    boxes = (
        (re.sub(r"\d+$", "", name), (left, top, right - left, bottom - top))
        for name, (left, top, right, bottom) in found
        if right > left and bottom > top
    )
    return tuple(dict.fromkeys(boxes))


_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no {path}")
    return text.strip()
