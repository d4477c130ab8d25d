"""Runs of one row of a frame: cut where pixels are beyond their limits, labelled by the row above. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadowline.kernel_cache import helper
from station.frame import Image
from station.regions.labels import AREA, DARK_EXCESS, PARENT, SIGN, SUM_X, SUM_Y, X0, X1, Y0, Y1, root_of

__all__ = ["BRIGHT", "DARK", "OVERFULL", "SEGMENT", "add_runs", "exceeds", "find_runs", "label_runs"]

DARK: Final = -1
BRIGHT: Final = 1
OVERFULL: Final = -1
SEGMENT: Final = 64
"""Pixels of a row that are looked at together."""

_START, _END, _LABEL, _CODE = range(4)
_EVERY_BYTE: Final = 0x0101010101010101


@helper
def find_runs(
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
        start, end = segment * SEGMENT, min((segment + 1) * SEGMENT, width)
        if not fired[segment] or not exceeds(image[y, start:end], bounds[0, segment], bounds[1, segment]):
            if state != 0:
                runs[count - 1, _END] = start
                state = np.uint64(0)
            continue
        _limit_line(limits, y, start, end, cell, line)
        _code_line(image, y, start, end, shift, cell, gain, line, words)
        for word in range(SEGMENT // 8):
            rest = words[segment * (SEGMENT // 8) + word]
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
def label_runs(
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
                return OVERFULL
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
def add_runs(
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
def exceeds(pixels: Image, low: int, high: int) -> bool:
    """Tell whether any pixel of one row's part is below `low` or above `high`."""
    least = greatest = pixels[0]
    for x in range(len(pixels)):
        least = min(least, pixels[x])
        greatest = max(greatest, pixels[x])
    return bool(np.int64(least) < low or np.int64(greatest) > high)
