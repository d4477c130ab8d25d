"""Folder-per-class picture trees in memory, grey with 8 bits, each file hashed and decoded once. Pure but for reading.

Files with 16 bits are scaled by one rule for the whole tree, never by the single picture: the largest value of all of
them decides whether they hold 10, 12 or 16 bits, and the upper 8 of these are kept.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from shadowline.errors import StationError

__all__ = [
    "Ambiguous",
    "Raw",
    "Tree",
    "deep_bits",
    "is_picture",
    "read_files",
    "read_grey",
    "read_levels",
    "read_tree",
    "tree_of",
]

Ambiguous: TypeAlias = Literal["skip", "also"]
"""What becomes of a picture in several class folders: left out, or kept once with the other labels in `also`."""

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
_DEPTHS = (10, 12)
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}
"""First bytes of a kind of file → what a complete one has near its end; OpenCV fills up a cut one with grey."""
_TAIL = 4096


@dataclass(frozen=True, slots=True)
class Raw:
    """The files below a root as they are: a column each for path, class, grey pixels (uint8 or uint16) and hash."""

    root: Path
    folders: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    levels: tuple[NDArray[Any], ...]
    sha256: tuple[str, ...]
    unreadable: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tree:
    """The usable pictures below a folder-per-class root: a column each for path, class folder, pixels and hash.

    `skipped` says of a path why it was left out, `also` which other labels a picture has, `notes` what was handled how.
    """

    root: Path
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    sha256: tuple[str, ...]
    skipped: dict[str, str]
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_grey(path: Path, bits: int = 16) -> NDArray[np.uint8]:
    """Return a picture file as grey uint8 [H,W]; one with 16 bits is taken to use the lower `bits`, of which 8 stay.

    Raises `StationError` when it can't be decoded.
    """
    return _as_uint8(_decode(path, _bytes(path)), bits)


def read_tree(root: Path, ambiguous: Ambiguous = "skip", aliases: Mapping[str, str] | None = None) -> Tree:
    """Read every picture of `root`/<class>/ in sorted order; what can't be used is listed in `skipped`.

    `aliases` renames class folders. Raises `StationError` when there is no class folder, or a class without a usable
    picture.
    """
    raw = read_files(root, aliases or {})
    tree = tree_of(raw, ambiguous)
    for label in raw.folders:
        if label not in tree.labels:
            raise StationError(
                f"{root}: class {label}: no readable picture in this class folder that stands in no other; "
                "fill it or remove it"
            )
    return tree


def read_files(root: Path, aliases: Mapping[str, str]) -> Raw:
    """Read and hash every file of `root`/<class>/ once. Raises `StationError` when there is no class folder."""
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")) if root.is_dir() else []
    if not folders:
        raise StationError(f"{root}: no class folders; expected <class>/<picture> below it")
    rows: list[tuple[str, str, NDArray[Any], str]] = []
    unreadable: dict[str, str] = {}
    for folder in folders:
        for path in sorted(filter(is_picture, folder.iterdir())):
            name = path.relative_to(root).as_posix()
            try:
                rows.append((name, _label(folder, aliases), *read_levels(path)))
            except StationError as fault:
                unreadable[name] = str(fault)
    paths, labels, levels, hashes = zip(*rows, strict=True) if rows else ((), (), (), ())
    names = tuple(dict.fromkeys(_label(folder, aliases) for folder in folders))
    return Raw(root, names, paths, labels, levels, hashes, unreadable)


def tree_of(raw: Raw, ambiguous: Ambiguous = "skip") -> Tree:
    """Return what of `raw` can be used, as uint8; a class may be left with nothing."""
    bits = deep_bits(raw.levels)
    images = tuple(_as_uint8(levels, bits) for levels in raw.levels)
    tree = Tree(raw.root, raw.paths, raw.labels, images, raw.sha256, raw.unreadable, notes=_notes(raw, bits))
    return _settle(tree, ambiguous)


def deep_bits(levels: Sequence[NDArray[Any]]) -> int:
    """Return how many bits the 16-bit files among `levels` use: 10, 12 or 16, by the largest value of all of them."""
    top = max((int(one.max()) for one in levels if one.dtype == np.uint16), default=0)
    return next((bits for bits in _DEPTHS if top < 1 << bits), 16)


def _label(folder: Path, aliases: Mapping[str, str]) -> str:
    return aliases.get(folder.name, folder.name)


def is_picture(path: Path) -> bool:
    """Tell whether a file's name is that of a picture, and not of a hidden file."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_levels(path: Path) -> tuple[NDArray[Any], str]:
    """Return a picture file's grey pixels as they are, uint8 or uint16 [H,W], and the file's hash.

    Raises `StationError` when it can't be decoded.
    """
    data = _bytes(path)
    return _decode(path, data), hashlib.sha256(data).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise StationError(f"{path}: not a readable picture ({type(fault).__name__})") from fault


def _decode(path: Path, data: bytes) -> NDArray[Any]:
    """Return grey uint8 or uint16 [H,W]. Raises `StationError` for what is no picture, is cut off, or holds floats."""
    end = next((end for start, end in _ENDS.items() if data.startswith(start)), b"")
    if end not in data[-_TAIL:]:
        raise StationError(f"{path}: not a readable picture (its end is missing)")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error as fault:
        raise StationError(f"{path}: not a readable picture ({type(fault).__name__})") from fault
    if image is None:
        raise StationError(f"{path}: not a readable picture")
    if image.dtype not in (np.uint8, np.uint16):
        raise StationError(f"{path}: not a readable picture ({image.dtype} pixels; save it with 8 or 16 bits)")
    return np.asarray(image)


def _as_uint8(levels: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    return levels if levels.dtype == np.uint8 else (levels >> (bits - 8)).astype(np.uint8)


def _notes(raw: Raw, bits: int) -> tuple[str, ...]:
    """Return what a reader of the pictures should know of their depths and sizes."""
    deep = sum(levels.dtype == np.uint16 for levels in raw.levels)
    sizes = Counter(levels.shape for levels in raw.levels)
    notes = [f"{deep} pictures of 16 bits taken as {bits} bits, the upper 8 kept"] if deep else []
    if 0 < deep < len(raw.levels):
        notes.append(f"bit depths are mixed: {deep} pictures of 16 bits, {len(raw.levels) - deep} of 8")
    if len(sizes) > 1:
        height, width = sizes.most_common(1)[0][0]
        notes.append(f"{len(sizes)} picture sizes; the most frequent is {width}x{height}")
    return tuple(notes)


def _settle(tree: Tree, ambiguous: Ambiguous) -> Tree:
    """Return the tree without what stands in several class folders, or with each such picture once."""
    labels: dict[str, list[str]] = {}
    for sha256, label in zip(tree.sha256, tree.labels, strict=True):
        labels[sha256] = [*labels.get(sha256, []), label]
    several = {sha256: tuple(dict.fromkeys(names)) for sha256, names in labels.items() if len(set(names)) > 1}
    if not several:
        return tree
    first = {sha256: row for row, sha256 in reversed(list(enumerate(tree.sha256)))}
    keep = [
        row for row, sha in enumerate(tree.sha256) if sha not in several or (ambiguous == "also" and first[sha] == row)
    ]
    also = {tree.paths[row]: several[tree.sha256[row]][1:] for row in keep if tree.sha256[row] in several}
    left = sorted(set(range(len(tree.paths))) - set(keep))
    skipped = {tree.paths[row]: f"the same picture stands in {' and '.join(several[tree.sha256[row]])}" for row in left}
    what = "kept once, with its other labels" if ambiguous == "also" else "left out of every side"
    return replace(
        tree,
        paths=tuple(tree.paths[row] for row in keep),
        labels=tuple(tree.labels[row] for row in keep),
        images=tuple(tree.images[row] for row in keep),
        sha256=tuple(tree.sha256[row] for row in keep),
        skipped=tree.skipped | skipped,
        also=also,
        notes=(*tree.notes, f"pictures that stand in several class folders, {what}: {len(several)}"),
    )
