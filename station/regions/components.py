"""Connected components straight from a frame and its limits, as run lengths: no mask, no label image. Pure.

A pixel is dark when it is below the low limit and bright when it is above the high one. Limits live on a coarse grid
of cells and are interpolated between cell centres, but only where a pixel can be beyond them: a frame is first read
in blocks of 8×256 pixels whose extremes are held against the extremes of the limits there. What the blocks skip can't
hold such a pixel, so the result is exactly that of the limit of every pixel.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadowline.kernel_cache import helper, kernel
from station.frame import Image
from station.regions.labels import (
    AREA,
    BRIGHT_EXCESS,
    COLUMNS,
    DARK_EXCESS,
    PARENT,
    SIGN,
    SUM_X,
    SUM_Y,
    X0,
    X1,
    Y0,
    Y1,
    fold,
)
from station.regions.runs import BRIGHT, DARK, OVERFULL, SEGMENT, add_runs, find_runs, label_runs

__all__ = ["BRIGHT", "DARK", "LEVEL", "NEVER_BRIGHT", "NEVER_DARK", "Components", "Scanner"]

LEVEL: Final = 256
"""Limits are int32 in 1/256 of an 8-bit grey level, which is also the step of a uint16 frame."""
NEVER_DARK: Final = 0
"""A low limit that no pixel is under."""
NEVER_BRIGHT: Final = 1 << 20
"""A high limit that no pixel is over, whatever the flat field."""
_ROWS: Final = 8
_BLOCK: Final = 4  # segments


@dataclass(frozen=True, slots=True)
class Components:
    """n components, a column each, in the order of their first row.

    `box` int32 [n,4] x, y, w, h; `area` int64 [n] pixels; `centroid` float64 [n,2] x, y; `depth` float64 [n] mean grey
    levels beyond the limit, in 8-bit levels, negative for dark; `polarity` int8 [n] `DARK` or `BRIGHT`.
    """

    box: NDArray[np.int32]
    area: NDArray[np.int64]
    centroid: NDArray[np.float64]
    depth: NDArray[np.float64]
    polarity: NDArray[np.int8]


class Scanner:
    """Buffers for frames of one size and the scan over them; `table[:count]` holds the labels of the last scan.

    `cell_px` (8, 16, 32 or 64) is the pitch of the limit grids. A frame with more runs, more labels or a larger part
    of its pixels beyond the limits than allowed is given up at once: such a frame costs less than a good one.
    """

    def __init__(
        self,
        height: int,
        width: int,
        cell_px: int,
        *,
        max_runs: int = 65_536,
        max_labels: int = 16_384,
        max_part: float = 1.0,
    ) -> None:
        self.grid_shape = (-(-height // cell_px), -(-width // cell_px))
        self.table: NDArray[np.int64] = np.empty((max_labels, COLUMNS), np.int64)
        self.count = 0
        segments = -(-width // SEGMENT)
        self._cell_px = cell_px
        self._shift = 0
        self._pixels = height * width
        self._caps = np.array([max_runs, 0], np.int64)
        self.allow(max_part)
        self._limits = np.zeros((2, *self.grid_shape), np.int32)
        self._gain: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._gain_range = np.ones((2, *self.grid_shape), np.float32)
        self._bounds = np.empty((2, self.grid_shape[0], segments), np.int32)
        self._line = np.empty((2, segments * SEGMENT + 2 * cell_px), np.int32)
        self._words = np.zeros(segments * SEGMENT // 8, np.uint64)
        self._runs = np.empty((2, width, 4), np.int32)
        self._fired = np.empty(segments, np.bool_)

    def allow(self, max_part: float) -> None:
        """Take the part of the pixels beyond the limits with which the frames to come are over-full."""
        self._caps[1] = int(max_part * self._pixels)

    def set_gain(self, gain: NDArray[np.float32]) -> None:
        """Take a flat field, float32 H×W: from the next `set_limits` on it multiplies the limits pixel by pixel."""
        self._gain = np.ascontiguousarray(gain)
        _cell_range(self._gain, self._cell_px, self._gain_range)

    def set_limits(self, low: NDArray[np.int32], high: NDArray[np.int32], *, shift: int) -> None:
        """Take the limits of the frames to come: grids of `grid_shape`, in 1/256 level, not negative.

        `shift` brings a pixel to that unit: 8 for uint8 frames, 0 for uint16.
        """
        self._limits[0], self._limits[1] = low, high
        self._shift = shift
        _bound(self._limits, self._gain_range, self._cell_px, shift, self._bounds)

    def scan(self, image: Image) -> bool:
        """Fill `table` with the labels of `image` (C order); return False when the frame is over-full."""
        self.count = _scan(
            image,
            self._shift,
            self._cell_px,
            self._limits,
            self._bounds,
            self._gain,
            self._line,
            self._words,
            self._runs,
            self._fired,
            self._caps,
            self.table,
        )
        return self.count != OVERFULL

    def components(self, image: Image) -> Components | None:
        """Scan `image` and return its components, unmerged and unfiltered; None when the frame is over-full."""
        if not self.scan(image):
            return None
        _fold(self.table, self.count)
        rows = self.table[: self.count]
        rows = rows[rows[:, PARENT] == np.arange(self.count)]
        area = rows[:, AREA]
        return Components(
            np.stack([rows[:, X0], rows[:, Y0], rows[:, X1] - rows[:, X0], rows[:, Y1] - rows[:, Y0]], 1).astype(
                np.int32
            ),
            area.copy(),
            rows[:, SUM_X : SUM_Y + 1] / area[:, None],
            (rows[:, BRIGHT_EXCESS] - rows[:, DARK_EXCESS]) / (area * LEVEL),
            rows[:, SIGN].astype(np.int8),
        )


@kernel("void(float32[:,::1], int64, float32[:,:,::1])")
def _cell_range(gain: NDArray[np.float32], cell: int, out: NDArray[np.float32]) -> None:
    """Write least and greatest gain of each cell."""
    height, width = gain.shape
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            part = gain[row * cell : min((row + 1) * cell, height), column * cell : min((column + 1) * cell, width)]
            out[0, row, column] = part.min()
            out[1, row, column] = part.max()


@kernel("void(int32[:,:,::1], float32[:,:,::1], int64, int64, int32[:,:,::1])")
def _bound(
    limits: NDArray[np.int32], gain_range: NDArray[np.float32], cell: int, shift: int, bounds: NDArray[np.int32]
) -> None:
    """Write for each segment the pixel value below which it may be dark, and above which it may be bright.

    The limits of a cell's pixels lie between those of its 3×3 neighbourhood, times the gain of the cell itself.
    """
    rows, columns = limits.shape[1:]
    cells = SEGMENT // cell
    for row in range(rows):
        top, bottom = max(row - 1, 0), min(row + 2, rows)
        for segment in range(bounds.shape[2]):
            first, last = segment * cells, min((segment + 1) * cells, columns)
            low, high = np.int32(0), limits[1, row, first]
            for y in range(top, bottom):
                for x in range(max(first - 1, 0), min(last + 1, columns)):
                    low = max(low, limits[0, y, x])
                    high = min(high, limits[1, y, x])
            least, greatest = gain_range[0, row, first], gain_range[1, row, first]
            for x in range(first + 1, last):
                least = min(least, gain_range[0, row, x])
                greatest = max(greatest, gain_range[1, row, x])
            bounds[0, row, segment] = (np.int64(np.float32(low) * greatest) + (1 << shift) - 1) >> shift
            bounds[1, row, segment] = np.int64(np.float32(high) * least) >> shift


@kernel(
    *(
        f"int64(Array({pixel}, 2, 'C', readonly=True), int64, int64, int32[:,:,::1], int32[:,:,::1], "
        "float32[:,::1], int32[:,::1], uint64[::1], int32[:,:,::1], boolean[::1], int64[::1], int64[:,::1])"
        for pixel in ("uint8", "uint16")
    )
)
def _scan(
    image: Image,
    shift: int,
    cell: int,
    limits: NDArray[np.int32],
    bounds: NDArray[np.int32],
    gain: NDArray[np.float32],
    line: NDArray[np.int32],
    words: NDArray[np.uint64],
    runs: NDArray[np.int32],
    fired: NDArray[np.bool_],
    caps: NDArray[np.int64],
    table: NDArray[np.int64],
) -> int:
    """Label `image` into `table` and return the number of labels, or -1 as soon as a cap is exceeded."""
    height = image.shape[0]
    used = 0
    total_runs = 0
    total_area = 0
    before = 0
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        if not _fire(image, top, bottom, bounds[:, top // cell], fired):
            before = 0
            continue
        for y in range(top, bottom):
            now = find_runs(
                image, y, shift, cell, limits, bounds[:, top // cell], gain, line, words, fired, runs[y & 1]
            )
            total_runs += now
            if total_runs > caps[0]:
                return OVERFULL
            used = label_runs(runs[y & 1], now, runs[1 - (y & 1)], before, table, used)
            if used == OVERFULL:
                return OVERFULL
            total_area += add_runs(image, y, shift, cell, line, runs[y & 1], now, table)
            if total_area > caps[1]:
                return OVERFULL
            before = now
    return used


@helper
def _fire(image: Image, top: int, bottom: int, bounds: NDArray[np.int32], fired: NDArray[np.bool_]) -> bool:
    """Mark the segments of the blocks in rows top..bottom that may hold a pixel beyond its limit."""
    width = image.shape[1]
    segments = len(fired)
    any_fired = False
    for first in range(0, segments, _BLOCK):
        last = min(first + _BLOCK, segments)
        low = bounds[0, first]
        high = bounds[1, first]
        for segment in range(first + 1, last):
            low = max(low, bounds[0, segment])
            high = min(high, bounds[1, segment])
        start, end = first * SEGMENT, min(last * SEGMENT, width)
        fires = _exceeds_rows(image, top, bottom, start, end, low, high)
        any_fired |= fires
        for segment in range(first, last):
            start, end = segment * SEGMENT, min((segment + 1) * SEGMENT, width)
            low, high = bounds[0, segment], bounds[1, segment]
            fired[segment] = fires and _exceeds_rows(image, top, bottom, start, end, low, high)
    return any_fired


@helper
def _exceeds_rows(image: Image, top: int, bottom: int, start: int, end: int, low: int, high: int) -> bool:
    """Tell whether any pixel of a block is below `low` or above `high`; one reduction for eight rows."""
    last = bottom - 1
    a, b = image[top, start:end], image[min(top + 1, last), start:end]
    c, d = image[min(top + 2, last), start:end], image[min(top + 3, last), start:end]
    e, f = image[min(top + 4, last), start:end], image[min(top + 5, last), start:end]
    g, h = image[min(top + 6, last), start:end], image[last, start:end]
    least = greatest = a[0]
    for x in range(len(a)):  # from 0, on slices: LLVM then sees no wrap-around and vectorises
        least = min(least, min(min(min(a[x], b[x]), min(c[x], d[x])), min(min(e[x], f[x]), min(g[x], h[x]))))
        greatest = max(greatest, max(max(max(a[x], b[x]), max(c[x], d[x])), max(max(e[x], f[x]), max(g[x], h[x]))))
    return bool(np.int64(least) < low or np.int64(greatest) > high)


@kernel("void(int64[:,::1], int64)")
def _fold(table: NDArray[np.int64], count: int) -> None:
    fold(table, count)
