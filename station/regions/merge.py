"""From labels to regions: drop specks, join neighbouring fragments, drop what is too small, sort. Pure.

Two fragments are joined when the free space between their boxes is less than `merge_gap_px` both across and down,
whatever their polarity: a dent has a dark and a bright flank and is one defect. Joining is single linkage over the
fragments' own boxes, not over the grown ones, so it does not depend on the order.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadowline.kernel_cache import helper, kernel
from station.regions.base import Regions
from station.regions.components import LEVEL
from station.regions.labels import (
    AREA,
    BRIGHT_EXCESS,
    DARK_EXCESS,
    PARENT,
    SUM_X,
    SUM_Y,
    X0,
    X1,
    Y0,
    Y1,
    add_label,
    fold,
    root_of,
)

__all__ = ["MAX_FRAGMENTS", "OVERFULL", "merge", "regions_of"]

MAX_FRAGMENTS: Final = 4096
"""More fragments than this are no surface with defects; it bounds the pairs that are compared."""
OVERFULL: Final = -1


@kernel("int64(int64[:,::1], int64, int64, int64, int64, int64, int64[::1])")
def merge(
    table: NDArray[np.int64],
    count: int,
    speck_px: int,
    merge_gap_px: int,
    min_area_px: int,
    min_length_px: int,
    rows: NDArray[np.int64],
) -> int:
    """Write the rows of `table` that are regions into `rows`, by falling area; return how many, or -1 if too many."""
    fold(table, count)
    fragments = 0
    for label in range(count):
        if table[label, PARENT] == label and table[label, AREA] >= speck_px:
            if fragments == len(rows):
                return OVERFULL
            rows[fragments] = label
            fragments += 1
    boxes = np.empty((fragments, 4), np.int64)
    for index in range(fragments):
        boxes[index] = table[rows[index], X0 : Y1 + 1]
    for index in range(fragments):  # labels are born from top to bottom, so Y0 never falls
        for other in range(index + 1, fragments):
            if boxes[other, 1] - boxes[index, 3] >= merge_gap_px:
                break
            across = max(boxes[other, 0] - boxes[index, 2], boxes[index, 0] - boxes[other, 2])
            if max(across, 0) < merge_gap_px:
                a, b = root_of(table, rows[index]), root_of(table, rows[other])
                table[max(a, b), PARENT] = min(a, b)
    for index in range(fragments):
        root = root_of(table, rows[index])
        if root != rows[index]:
            add_label(table, root, rows[index])
    return _select(table, rows, fragments, min_area_px, min_length_px)


@helper
def _select(
    table: NDArray[np.int64], rows: NDArray[np.int64], fragments: int, min_area_px: int, min_length_px: int
) -> int:
    """Keep the roots that are large enough, in order of falling area, then of their first row."""
    kept = 0
    for index in range(fragments):
        row = rows[index]
        length = max(table[row, X1] - table[row, X0], table[row, Y1] - table[row, Y0])
        if table[row, PARENT] == row and table[row, AREA] >= min_area_px and length >= min_length_px:
            rows[kept] = row
            kept += 1
    rows[:kept] = rows[:kept][np.argsort(-table[rows[:kept], AREA], kind="mergesort")]
    return kept


def regions_of(rows: NDArray[np.int64], width_px: int, height_px: int, scale: tuple[float, float]) -> Regions:
    """Return `rows` of a scanner's table as regions of a frame of the given size.

    `scale` is the frame's pixels to one scanned pixel, x and y.
    """
    across, down = scale
    left, right = np.floor(rows[:, X0] * across), np.ceil(rows[:, X1] * across)
    top, bottom = np.floor(rows[:, Y0] * down), np.ceil(rows[:, Y1] * down)
    box = np.stack([left, top, np.minimum(right, width_px) - left, np.minimum(bottom, height_px) - top], 1)
    area = rows[:, AREA]
    sign = np.where(rows[:, DARK_EXCESS] >= rows[:, BRIGHT_EXCESS], -1.0, 1.0)
    depth = sign * (rows[:, DARK_EXCESS] + rows[:, BRIGHT_EXCESS]) / (area * LEVEL)
    centre = (rows[:, SUM_X : SUM_Y + 1] / area[:, None] + 0.5) * (across, down) - 0.5
    columns = (
        box.astype(np.int32),
        np.rint(area * (across * down)).astype(np.int32),
        depth.astype(np.float32),
        centre.astype(np.float32),
    )
    for column in columns:
        column.flags.writeable = False
    return Regions(*columns)
