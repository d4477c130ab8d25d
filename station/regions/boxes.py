"""Boxes that overlap: how much, and which belong together. Pure.

Boxes are float or integer [n,4] of corners x0, y0, x1, y1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["areas", "common", "corners_of", "groups_of"]


def corners_of(box: NDArray[Any]) -> NDArray[Any]:
    """Return corners of boxes x, y, w, h."""
    return np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)


def areas(corners: NDArray[Any]) -> NDArray[np.float64]:
    """Return the area [n] of each box."""
    return np.asarray((corners[:, 2:] - corners[:, :2]).prod(1), np.float64)


def common(corners: NDArray[Any]) -> NDArray[np.float64]:
    """Return what each two boxes have in common, [n,n]."""
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    return np.asarray((high - low).clip(0).prod(2), np.float64)


def groups_of(linked: NDArray[np.bool_]) -> list[list[int]]:
    """Return what `linked` [n,n], symmetric, holds together, directly or over others, each group in order."""
    group = list(range(len(linked)))
    for first, second in np.argwhere(np.triu(linked, 1)).tolist():
        old, new = group[second], group[first]
        if old != new:
            group = [new if one == old else one for one in group]
    members: dict[int, list[int]] = {}
    for index, one in enumerate(group):
        members.setdefault(one, []).append(index)
    return list(members.values())
