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

from station.frame import Image
from station.regions.kernel_cache import helper, kernel

__all__ = [
    "AREA",
    "BRIGHT",
    "BRIGHT_EXCESS",
    "DARK",
    "DARK_EXCESS",
    "LEVEL",
    "NEVER_BRIGHT",
    "NEVER_DARK",
    "PARENT",
    "SIGN",
    "SUM_X",
    "SUM_Y",
    "X0",
    "X1",
    "Y0",
    "Y1",
    "Components",
    "Scanner",
    "add_label",
    "root_of",
]

LEVEL: Final = 256
"""Limits are int32 in 1/256 of an 8-bit grey level, which is also the step of a uint16 frame."""
NEVER_DARK: Final = 0
"""A low limit that no pixel is under."""
NEVER_BRIGHT: Final = 1 << 20
"""A high limit that no pixel is over, whatever the flat field."""
DARK: Final = -1
BRIGHT: Final = 1

PARENT, SIGN, X0, Y0, X1, Y1, AREA, SUM_X, SUM_Y, DARK_EXCESS, BRIGHT_EXCESS = range(11)
_COLUMNS: Final = 11

_ROWS: Final = 8
_SEGMENT: Final = 64
_BLOCK: Final = 4  # segments
_START, _END, _LABEL, _CODE = range(4)
_OVERFULL: Final = -1
_EVERY_BYTE: Final = 0x0101010101010101


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
        self.table: NDArray[np.int64] = np.empty((max_labels, _COLUMNS), np.int64)
        self.count = 0
        segments = -(-width // _SEGMENT)
        self._cell_px = cell_px
        self._shift = 0
        self._caps = np.array([max_runs, int(max_part * height * width)], np.int64)
        self._limits = np.zeros((2, *self.grid_shape), np.int32)
        self._gain: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._gain_range = np.ones((2, *self.grid_shape), np.float32)
        self._bounds = np.empty((2, self.grid_shape[0], segments), np.int32)
        self._line = np.empty((2, segments * _SEGMENT + 2 * cell_px), np.int32)
        self._words = np.zeros(segments * _SEGMENT // 8, np.uint64)
        self._runs = np.empty((2, width, 4), np.int32)
        self._fired = np.empty(segments, np.bool_)

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
        return self.count != _OVERFULL

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
    cells = _SEGMENT // cell
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
            now = _find_runs(
                image, y, shift, cell, limits, bounds[:, top // cell], gain, line, words, fired, runs[y & 1]
            )
            total_runs += now
            if total_runs > caps[0]:
                return _OVERFULL
            used = _label_runs(runs[y & 1], now, runs[1 - (y & 1)], before, table, used)
            if used == _OVERFULL:
                return _OVERFULL
            total_area += _add_runs(image, y, shift, cell, line, runs[y & 1], now, table)
            if total_area > caps[1]:
                return _OVERFULL
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
        start, end = first * _SEGMENT, min(last * _SEGMENT, width)
        fires = _exceeds_rows(image, top, bottom, start, end, low, high)
        any_fired |= fires
        for segment in range(first, last):
            start, end = segment * _SEGMENT, min((segment + 1) * _SEGMENT, width)
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


@helper
def _exceeds(pixels: Image, low: int, high: int) -> bool:
    """Tell whether any pixel of one row's part is below `low` or above `high`."""
    least = greatest = pixels[0]
    for x in range(len(pixels)):
        least = min(least, pixels[x])
        greatest = max(greatest, pixels[x])
    return bool(np.int64(least) < low or np.int64(greatest) > high)


@helper
def _find_runs(
    image: Image,
    y: int,
    shift: int,
    cell: int,
    limits: NDArray[np.int32],
    bounds: NDArray[np.int32],
    gain: NDArray[np.float32],
    line: NDArray[np.int32],
    words: NDArray[np.uint64],
    fired: NDArray[np.bool_],
    runs: NDArray[np.int32],
) -> int:
    """Write the runs of row `y` as start, end, label (unset) and code; return their number."""
    width = image.shape[1]
    count = 0
    state = np.uint64(0)
    for segment in range(len(fired)):
        start, end = segment * _SEGMENT, min((segment + 1) * _SEGMENT, width)
        if not fired[segment] or not _exceeds(image[y, start:end], bounds[0, segment], bounds[1, segment]):
            if state != 0:
                runs[count - 1, _END] = start
                state = np.uint64(0)
            continue
        _limit_line(limits, y, start, end, cell, line)
        _code_line(image, y, start, end, shift, cell, gain, line, words)
        for word in range(_SEGMENT // 8):
            rest = words[segment * (_SEGMENT // 8) + word]
            if rest == state * np.uint64(_EVERY_BYTE):
                continue
            x = start + 8 * word
            for _ in range(8):
                code = rest & np.uint64(255)
                rest >>= np.uint64(8)
                if code != state:
                    if state != 0:
                        runs[count - 1, _END] = x
                    if code != 0:
                        runs[count, _START] = x
                        runs[count, _CODE] = code
                        count += 1
                    state = code
                x += 1
    if state != 0:
        runs[count - 1, _END] = width
    return count


@helper
def _limit_line(limits: NDArray[np.int32], y: int, start: int, end: int, cell: int, line: NDArray[np.int32]) -> None:
    """Interpolate the limits of row `y` for pixels start..end; pixel x stands at `line[:, x + cell // 2]`."""
    rows, columns = limits.shape[1:]
    half = cell >> 1
    bits = 3 if cell == 8 else 4 if cell == 16 else 5 if cell == 32 else 6
    row = ((y + half) >> bits) - 1
    weight = y + half - ((row + 1) << bits)
    upper, lower = max(row, 0), min(row + 1, rows - 1)
    for column in range(((start + half) >> bits) - 1, (end - 1 + half) >> bits):
        left, right = max(column, 0), min(column + 1, columns - 1)
        first = (column + 1) << bits
        for side in range(2):
            a = (limits[side, upper, left] * (cell - weight) + limits[side, lower, left] * weight) >> bits
            b = (limits[side, upper, right] * (cell - weight) + limits[side, lower, right] * weight) >> bits
            value, slope = np.int32(a << bits), np.int32(b - a)
            part = line[side, first : first + cell]
            for step in range(len(part)):
                part[step] = np.int32(value + slope * np.int32(step)) >> np.int32(bits)


@helper
def _code_line(
    image: Image,
    y: int,
    start: int,
    end: int,
    shift: int,
    cell: int,
    gain: NDArray[np.float32],
    line: NDArray[np.int32],
    words: NDArray[np.uint64],
) -> None:
    """Fold the flat field into the limits of start..end and write 0, 1 (dark) or 2 (bright), a byte a pixel.

    Bytes past the frame's last column stay 0, so eight can be compared at once.
    """
    half = cell >> 1
    low, high = line[0, start + half : end + half], line[1, start + half : end + half]
    pixels, out = image[y, start:end], words.view(np.uint8)[start:end]
    if gain.size != 0:
        response = gain[y, start:end]
        for x in range(len(response)):
            low[x] = np.int32(np.float32(low[x]) * response[x])
            high[x] = np.int32(np.float32(high[x]) * response[x])
    for x in range(len(out)):
        value = np.int32(pixels[x]) << np.int32(shift)
        out[x] = np.uint8(value < low[x]) | (np.uint8(value > high[x]) << np.uint8(1))


@helper
def _label_runs(
    runs: NDArray[np.int32],
    count: int,
    previous: NDArray[np.int32],
    before: int,
    table: NDArray[np.int64],
    used: int,
) -> int:
    """Give each run the label of the runs of its code that it touches above (8-connected), or a new one."""
    behind = 0
    for run in range(count):
        start, end, code = runs[run, _START], runs[run, _END], runs[run, _CODE]
        while behind < before and previous[behind, _END] < start:
            behind += 1
        label = -1
        above = behind
        while above < before and previous[above, _START] <= end:
            if previous[above, _CODE] == code:
                root = root_of(table, previous[above, _LABEL])
                if label < 0:
                    label = root
                elif root != label:
                    label, root = min(label, root), max(label, root)
                    table[root, PARENT] = label
            above += 1
        if label < 0:
            if used == len(table):
                return _OVERFULL
            label = used
            table[label, PARENT] = label
            table[label, SIGN] = DARK if code == 1 else BRIGHT
            table[label, X0] = start
            table[label, Y0] = 1 << 40
            table[label, X1:] = 0
            used += 1
        runs[run, _LABEL] = label
    return used


@helper
def _add_runs(
    image: Image,
    y: int,
    shift: int,
    cell: int,
    line: NDArray[np.int32],
    runs: NDArray[np.int32],
    count: int,
    table: NDArray[np.int64],
) -> int:
    """Add the runs of row `y` to the statistics of their labels and return their pixels."""
    pixels = image[y]
    half = cell >> 1
    total = 0
    for run in range(count):
        start, end = int(runs[run, _START]), int(runs[run, _END])
        label = runs[run, _LABEL]
        length = end - start
        side = runs[run, _CODE] - 1
        part, limit = pixels[start:end], line[side, start + half : end + half]
        excess = np.int64(0)
        for x in range(len(part)):
            excess += np.int32(np.int32(part[x]) << np.int32(shift)) - limit[x]
        table[label, X0] = min(table[label, X0], start)
        table[label, X1] = max(table[label, X1], end)
        table[label, Y0] = min(table[label, Y0], y)
        table[label, Y1] = y + 1
        table[label, AREA] += length
        table[label, SUM_X] += length * (start + end - 1) // 2
        table[label, SUM_Y] += length * y
        table[label, DARK_EXCESS + side] += abs(excess)
        total += length
    return total


@helper
def root_of(table: NDArray[np.int64], label: int) -> int:
    """Return the root of `label`, halving the way there."""
    root = int(label)
    while table[root, PARENT] != root:
        table[root, PARENT] = table[int(table[root, PARENT]), PARENT]
        root = int(table[root, PARENT])
    return root


@kernel("void(int64[:,::1], int64)")
def _fold(table: NDArray[np.int64], count: int) -> None:
    """Add the statistics of every label to its root's; a root is the least label of its component."""
    for label in range(count):
        root = root_of(table, label)
        if root != label:
            add_label(table, root, label)
            table[label, PARENT] = root


@helper
def add_label(table: NDArray[np.int64], root: int, label: int) -> None:
    """Add the statistics of `label` to those of `root`."""
    table[root, X0] = min(table[root, X0], table[label, X0])
    table[root, Y0] = min(table[root, Y0], table[label, Y0])
    table[root, X1] = max(table[root, X1], table[label, X1])
    table[root, Y1] = max(table[root, Y1], table[label, Y1])
    for column in range(AREA, _COLUMNS):
        table[root, column] += table[label, column]
