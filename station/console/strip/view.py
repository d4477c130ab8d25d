"""What of a coil is to be drawn: its defects in a stretch, thinned to what can be told apart, as bytes. Pure.

Of each class the largest defect of a cell of some pixels stays, with how many it stands for: so a rare class is seen
beside thousands of a common one. Cells lie on the coil, not on the screen, and so nothing flickers while one pans.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from station.console.strip.columns import Columns
from station.console.strip.wanted import View

__all__ = ["MOST_POINTS", "Lane", "Thinned", "encode", "thin"]

MOST_POINTS: Final = 6000
"""Points of one view: what a browser draws in a few milliseconds."""
_CELL_PX: Final = 3
_MOST_CELLS: Final = 2_000_000
_LEAST_PIXEL: Final = 1e-5  # of the coil's unit


@dataclass(frozen=True, slots=True)
class Lane:
    """The band of one camera across the map."""

    camera: int
    width_px: int


@dataclass(frozen=True, slots=True)
class Thinned:
    """Rows of the columns to draw, those of the most frequent class first, and how many each stands for."""

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    total: int
    """Defects that fit and lie in the stretch, and in the part across."""


def thin(columns: Columns, view: View, lanes: Sequence[Lane], most: int = MOST_POINTS) -> Thinned:
    """Return what to draw of `view`."""
    low, high = np.searchsorted(columns.along, (view.begin, view.end))
    fits = view.fits(columns)
    fits[:low] = fits[high:] = False
    rows = columns.by_area[fits[columns.by_area]]
    if view.bottom - view.top < 1:
        place = _place(columns, rows, lanes)
        rows = rows[(place >= view.top) & (place <= view.bottom)]
    counts = np.ones(len(rows), np.int64)
    total = len(rows)
    cell_px = _CELL_PX
    while len(rows) > most and cell_px < max(view.width, view.height):
        rows, counts = _thin_to(cell_px, columns, view, lanes, rows, counts)
        cell_px *= 2
    label, frequency = _frequency(columns.label[rows], counts)
    order = np.argsort(-frequency[label], kind="stable")
    return Thinned(rows[order], counts[order], total)


def encode(columns: Columns, thinned: Thinned, view: View, lanes: Sequence[Lane], **about: Any) -> bytes:
    """Return the length of a JSON header in 4 bytes, the header, and the columns that it names, each at 8 bytes.

    `along` counts from `view.begin`, `across` from 0 to 1 of the camera's lane.
    """
    rows = thinned.rows
    lane = _lane_of(columns, rows, lanes)
    found = {
        "event": columns.event[rows].astype("<f8"),
        "along": (columns.along[rows] - view.begin).astype("<f4"),
        "across": _across(columns, rows, lanes, lane).astype("<f4"),
        "area": columns.area_px[rows].astype("<f4"),
        "count": thinned.counts.astype("<u4"),
        "number": np.minimum(columns.number[rows], 65535).astype("<u2"),
        "label": np.minimum(columns.label[rows], 65535).astype("<u2"),
        "lane": lane.astype("<u1"),
        "verdict": columns.verdict[rows].astype("<u1"),
    }
    parts = [column.tobytes() for column in found.values()]
    header = {
        "begin": view.begin,
        "end": view.end,
        "points": len(rows),
        "total": thinned.total,
        "columns": [[name, column.dtype.str[1:]] for name, column in found.items()],
        **about,
    }
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return b"".join([len(text).to_bytes(4, "little"), text, *(part + bytes(-len(part) % 8) for part in parts)])


def _thin_to(
    cell_px: int,
    columns: Columns,
    view: View,
    lanes: Sequence[Lane],
    rows: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the last of `rows` of each class in each cell, and add up what it stands for."""
    cell = _cell_length(view, cell_px)
    across_cells = max(round(view.height / (view.bottom - view.top)) // cell_px, 1)
    column = np.floor(columns.along[rows] / cell).astype(np.int64)
    column -= column.min()
    across = (_place(columns, rows, lanes) * across_cells).astype(np.int64)
    across -= across.min()
    label, frequency = _frequency(columns.label[rows], counts)
    key = (column * (int(across.max()) + 1) + across) * len(frequency) + label
    cells = int(key.max()) + 1
    if cells > _MOST_CELLS:
        return _thin_sparse(key, rows, counts)
    last = np.full(cells, -1, np.int64)
    last[key] = np.arange(len(rows))  # of several the last one stays: the largest
    sums = np.bincount(key, counts, cells).astype(np.int64)
    kept = last[last >= 0]
    kept.sort()
    return rows[kept], sums[key[kept]]


def _thin_sparse(
    key: NDArray[np.int64], rows: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Do the same where cells are many."""
    _, place = np.unique(key, return_inverse=True)
    sums = np.bincount(place, counts).astype(np.int64)
    last = np.zeros(len(sums), np.int64)
    last[place] = np.arange(len(rows))
    kept = np.sort(last)
    return rows[kept], sums[place[kept]]


def _cell_length(view: View, cell_px: int) -> float:
    """Return a cell's length along the coil, the same for views that are alike."""
    return cell_px * 2.0 ** math.ceil(math.log2(max((view.end - view.begin) / view.width, _LEAST_PIXEL)))


def _frequency(labels: NDArray[Any], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the place of each label among those that occur, and how often each does."""
    if not len(labels):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    table = np.bincount(labels, counts)
    places = np.cumsum(table > 0) - 1
    return places[labels], table[table > 0].astype(np.int64)


def _lane_of(columns: Columns, rows: NDArray[np.int64], lanes: Sequence[Lane]) -> NDArray[np.int64]:
    cameras = columns.camera[rows]
    lane_of = np.zeros(int(cameras.max(initial=0)) + 1, np.int64)
    for number, lane in enumerate(lanes):
        if lane.camera < len(lane_of):
            lane_of[lane.camera] = number
    return lane_of[cameras]


def _place(columns: Columns, rows: NDArray[np.int64], lanes: Sequence[Lane]) -> NDArray[np.float64]:
    """Return where defects lie across all lanes, one below the other, from 0 to 1."""
    lane = _lane_of(columns, rows, lanes)
    place: NDArray[np.float64] = (lane + _across(columns, rows, lanes, lane)) / max(len(lanes), 1)
    return place


def _across(
    columns: Columns, rows: NDArray[np.int64], lanes: Sequence[Lane], lane: NDArray[np.int64]
) -> NDArray[np.float64]:
    widths = np.array([max(one.width_px, 1) for one in lanes] or [1], np.float64)
    return np.clip(columns.x_px[rows] / widths[lane], 0.0, 0.9999)
