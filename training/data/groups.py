"""Which pictures belong together: copies, near twins, and those of one strip or part by their names. Pure."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from shadowline.errors import ConfigError
from training.data.tree import Tree

__all__ = ["TWIN_CORRELATION", "detail", "group_details", "group_pictures", "join", "nearest", "twin_groups"]

_THUMB_PX = 48
_DETAIL_SIGMA_PX = 2.0
_SHIFT_PX = 2
_SIDE_PX = _THUMB_PX - 2 * _SHIFT_PX
TWIN_CORRELATION = 0.6
_FLAT = 0.1
"""Contrast of a thumbnail's detail, against its own and one grey level, below which a picture is like no other."""
_ROWS = 64
"""Pictures compared with all others at once, in all their shifts, so that memory does not grow with the square."""


def group_pictures(tree: Tree, pattern: str | None = None) -> NDArray[np.int64]:
    """Return a group number a picture, int64 [n]: copies, near twins and equal names by `pattern` share one.

    `pattern` is a regular expression that is searched in the file name; the text of its first group names the strip or
    the part. Raises `ConfigError` for a pattern without a group or one that no name has.
    """
    return group_details(tree.paths, tree.sha256, [detail(image) for image in tree.images], pattern)


def group_details(
    paths: Sequence[str], sha256: Sequence[str], details: Sequence[NDArray[np.float32]], pattern: str | None = None
) -> NDArray[np.int64]:
    """Return what `group_pictures` does, of pictures of which only path, hash and `detail` are at hand."""
    edges = [_equal(sha256), _twins(np.array(details, np.float32).reshape(-1, _THUMB_PX, _THUMB_PX))]
    if pattern is not None:
        edges.append(_equal(_keys(paths, pattern)))
    return join(len(paths), np.concatenate(edges))


def twin_groups(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Return a group number a picture, int64 [n]: pictures whose thumbnails' detail correlates above 0.6 share one.

    Detail is what is finer than a 24th of the picture, divided by its own contrast all around, so that neither the
    light nor one strong edge decides; it may lie a 24th aside. Flat pictures are twins of nothing.
    """
    return join(len(images), _twins(_details(images)))


def detail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what twins are told by: a small copy of a picture less its own blur, divided by the contrast around.

    float32 [48,48]; one grey level is added to the contrast.
    """
    thumb = cv2.resize(image, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = thumb - cv2.GaussianBlur(thumb, (0, 0), _DETAIL_SIGMA_PX)
    contrast = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), _DETAIL_SIGMA_PX))
    return np.asarray(fine / (contrast + 1.0), np.float32)


def nearest(
    known: Sequence[NDArray[np.uint8]], images: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each of n pictures the most alike of `known`: its row, int64 [n], and the correlation, float32 [n]."""
    blocks = [(found.argmax(0), found.max(0)) for _, found in _correlations(_details(known), _details(images))]
    rows, values = zip(*blocks, strict=True)
    return np.concatenate(rows), np.concatenate(values)


def join(count: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the lowest member of each row's connected component, int64 [count]; `edges` is [m,2] of rows."""
    groups = np.arange(count, dtype=np.int64)
    while True:
        lowest = groups.copy()
        near = groups[edges].min(1)
        for end in edges.T:
            np.minimum.at(lowest, end, near)
        lowest = lowest[lowest]
        if np.array_equal(lowest, groups):
            return groups
        groups = lowest


def _twins(details: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return which pictures are twins by their details, as pairs of rows [m,2]."""
    blocks = _correlations(details, details)
    pairs = [np.argwhere(found > TWIN_CORRELATION) + np.array([0, start]) for start, found in blocks]
    return np.concatenate([np.empty((0, 2), np.int64), *pairs])


def _correlations(one: NDArray[np.float32], other: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a block of rows of `other` at a time: its first row, and correlations [n, block] at best shift."""
    cores = _unit(one[:, _SHIFT_PX:-_SHIFT_PX, _SHIFT_PX:-_SHIFT_PX])
    for start in range(0, len(other), _ROWS):
        shifted = sliding_window_view(other[start : start + _ROWS], (_SIDE_PX, _SIDE_PX), axis=(1, 2))
        found = cores @ _unit(shifted).T
        yield start, found.reshape(len(one), len(shifted), (2 * _SHIFT_PX + 1) ** 2).max(2)


def _unit(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return windows of detail as rows of length 1, or of zeros where they are flat."""
    rows = windows.reshape(-1, _SIDE_PX * _SIDE_PX)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > _FLAT * _SIDE_PX))


def _details(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.array([detail(image) for image in images], np.float32).reshape(-1, _THUMB_PX, _THUMB_PX)


def _equal(keys: Sequence[str | None]) -> NDArray[np.int64]:
    """Return an edge from each key's first row to each of its rows; None is equal to nothing."""
    first: dict[str, int] = {}
    edges = [(first.setdefault(key, row), row) for row, key in enumerate(keys) if key is not None]
    return np.array(edges, np.int64).reshape(-1, 2)


def _keys(paths: Sequence[str], pattern: str) -> list[str | None]:
    """Return what the pattern's first group says of each file name, None where it finds nothing."""
    try:
        found = [re.search(pattern, PurePosixPath(path).name) for path in paths]
        keys = [match and match.group(1) for match in found]
    except (re.error, IndexError) as fault:
        raise ConfigError(f"group pattern {pattern!r}: not a regular expression with a group in brackets") from fault
    if not any(keys):
        raise ConfigError(f"group pattern {pattern!r}: no picture has such a name")
    return keys
