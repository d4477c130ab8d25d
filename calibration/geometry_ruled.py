"""Fits a line-scan camera's millimetres across to a ruled target; along, the encoder tells. Pure."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.geometry import CELL_PX, Geometry
from calibration.geometry_fit import GeometryFit
from calibration.geometry_views import Picture
from shadowline.errors import CalibrationError

__all__ = ["fit_ruled"]

_BAND_ROWS = 32  # averaged; slanted bars move little in so many
_LEAST_BARS = 12
_LEAST_SPAN = 0.8  # of the width, from the first bar to the last
_DEGREE = 5  # of the curve from pixels to millimetres: perspective and the bend of the lens
_MOST_TURN_DEG = 5.0
_MOST_RMS_PX = 0.5
_MOST_BLUR = 0.1  # of a bar's pitch: at 0.13 the bars are a mere sine
_SHAPE = (0.3, 0.7)  # least and greatest width of a bar, as a part of the pitch


class _Bars(NamedTuple):
    """The middles of the bars of one band: `x_px` of pixel edges, `y_px` of the band, `number` from any bar on."""

    x_px: NDArray[np.float64]
    y_px: float
    number: NDArray[np.int64]


def fit_ruled(picture: Picture, pitch_mm: float, mm_per_row: float, left_mm: float = 0.0) -> GeometryFit:
    """Return the geometry of a block of lines [H,W] with bars every `pitch_mm`, the rows `mm_per_row` apart.

    `left_mm` is x at the frame's left edge. A target that lies slanted is reckoned with, where it passed with the
    strip. Raises `CalibrationError` for bars that are too few, blurred or not to scale, and for rows of 0 mm or less.
    """
    if not (math.isfinite(mm_per_row) and mm_per_row > 0):
        raise CalibrationError(
            f"{mm_per_row:g} mm from row to row: let the strip move forward, and check mm_per_count and reversed of"
            " [line.encoder]"
        )
    if not (math.isfinite(pitch_mm) and pitch_mm > 0):
        raise CalibrationError(f"bars every {pitch_mm:g} mm: say their pitch")
    bands = _find_bands(picture)
    x = np.concatenate([band.x_px for band in bands])
    y = np.concatenate([np.full_like(band.x_px, band.y_px) for band in bands])
    width = picture.shape[1]
    number = np.concatenate([band.number for band in bands])
    terms = np.column_stack([_powers(x, width), y])
    solution = np.linalg.lstsq(terms, number.astype(np.float64), rcond=None)[0]
    bars_per_px = _powers(x, width, 1) @ solution[:-1]
    misses = (number - terms @ solution) / bars_per_px
    sine = solution[-1] * pitch_mm / mm_per_row
    _check(misses, sine, float(1 / bars_per_px.min()), picture)
    apart_mm = pitch_mm / math.sqrt(1 - sine**2)
    nodes = _nodes(solution[:-1] * apart_mm, width, mm_per_row, left_mm)
    geometry = Geometry(nodes, width)
    ends = _powers(np.array([0.0, width]), width, 1) @ solution[:-1] * apart_mm
    figures = {
        "bars": len(bands[0].x_px),
        "rms_px": float(np.sqrt((misses**2).mean())),
        "worst_px": float(np.abs(misses).max()),
        "blur_px": _blur_px(picture),
        "across_mm_per_px": geometry.mm_per_px[0],
        "along_mm_per_px": mm_per_row,
        "right_to_left": float(ends[1] / ends[0]),
        "sheet_turn_deg": math.degrees(math.asin(sine)),
    }
    points = np.stack([x, y], axis=1) - 0.5
    return GeometryFit(geometry, figures, points, np.stack([misses, 0 * misses], axis=1), np.ones(len(x), bool))


def _find_bands(picture: Picture) -> list[_Bars]:
    """Return the bars of each band, a bar with the same number in all."""
    rows = range(0, max(picture.shape[0] - _BAND_ROWS + 1, 1), _BAND_ROWS)
    bands: list[_Bars] = []
    for first in rows:
        part = picture[first : first + _BAND_ROWS]
        x = _find_bars(part.mean(axis=0, dtype=np.float64))
        span = np.ptp(x) / picture.shape[1] if len(x) else 0.0
        if len(x) < _LEAST_BARS or span < _LEAST_SPAN:
            raise CalibrationError(
                f"found {len(x)} bars over {span:.0%} of the width, need {_LEAST_BARS} over {_LEAST_SPAN:.0%}: lay the"
                " ruled target across the whole view, its bars along the line, in focus and evenly lit"
            )
        gaps = np.diff(x)
        number = np.concatenate([[0], np.cumsum(np.rint(gaps / np.median(gaps)).astype(np.int64))])
        if bands:
            middle = len(x) // 2
            number += bands[-1].number[np.abs(bands[-1].x_px - x[middle]).argmin()] - number[middle]
        bands.append(_Bars(x, first + len(part) / 2, number))
    return bands


def _find_bars(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middles of whole dark bars, as pixel edges; each half of a pitch may be as bright as it likes."""
    rough = _crossings(line - (line.min() + line.max()) / 2)
    if len(rough[0]) < 2:
        return np.empty(0)
    pitch = float(np.median(np.diff(rough[0])))
    if len(line) < 2 * pitch:
        return np.empty(0)
    level = _mean_over(line, max(round(pitch), 2))
    falls, rises = _crossings(line - level)
    ends = rises[np.minimum(np.searchsorted(rises, falls), len(rises) - 1)] if len(rises) else falls
    part = (ends - falls) / pitch
    inside = (falls > pitch / 2) & (ends < len(line) - pitch / 2)  # near the edges the mean over a pitch is no level
    whole = inside & (part > _SHAPE[0]) & (part < _SHAPE[1])
    return np.asarray((falls + ends)[whole] / 2 + 0.5)


def _mean_over(line: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    padded = np.pad(line, (length // 2, length - 1 - length // 2), mode="reflect")
    return np.convolve(padded, np.full(length, 1 / length), mode="valid")


def _crossings(line: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where `line` falls through 0 and where it rises, between pixels by the straight line."""
    below = line < 0
    at = np.flatnonzero(below[1:] != below[:-1])
    places = at + line[at] / (line[at] - line[at + 1])
    return places[below[at + 1]], places[~below[at + 1]]


def _powers(x: NDArray[np.float64], width: int, derivative: int = 0) -> NDArray[np.float64]:
    """Return the powers 0 to `_DEGREE` [n,…] of places across, of which the frame has −1 to 1, or their slopes."""
    place = (x * 2 / width - 1)[:, None]
    power = np.arange(_DEGREE + 1)
    if not derivative:
        return np.asarray(place**power)
    return np.asarray(power * place ** np.maximum(power - 1, 0) * 2 / width)


def _check(misses: NDArray[np.float64], sine: float, pitch_px: float, picture: Picture) -> None:
    rms = float(np.sqrt((misses**2).mean()))
    blur = _blur_px(picture)
    if blur > _MOST_BLUR * pitch_px:
        raise CalibrationError(
            f"the picture is too blurred: {blur:.1f} px, at most {_MOST_BLUR * pitch_px:.1f} with these bars: focus, or"
            " take bars of a greater pitch"
        )
    if abs(sine) > math.sin(math.radians(_MOST_TURN_DEG)):
        raise CalibrationError(
            f"the bars lie more than {_MOST_TURN_DEG:g} degrees off the line: lay the target straight, and check"
            " mm_per_count of [line.encoder]"
        )
    if rms > _MOST_RMS_PX:
        raise CalibrationError(
            f"the bars miss the fit by {rms:.2f} px, at most {_MOST_RMS_PX:g}: the target is bent or soiled, or its"
            " bars are not evenly spaced"
        )


def _blur_px(picture: Picture) -> float:
    """Return the blur's standard deviation across, as `geometry_views` does."""
    line = picture[: _BAND_ROWS // 4].mean(axis=0, dtype=np.float64)
    step = np.ptp(np.percentile(line, (5, 95)))
    slope = float(np.percentile(np.abs(np.gradient(line)), 98))
    return float(np.sqrt(max((step / max(slope, 1e-6)) ** 2 / (2 * np.pi) - 1 / 3, 0.0)))


def _nodes(curve_mm: NDArray[np.float64], width: int, mm_per_row: float, left_mm: float) -> NDArray[Any]:
    x = np.arange(-(-width // CELL_PX) + 1, dtype=np.float64) * CELL_PX
    across = _powers(x, width) @ curve_mm
    across += left_mm - across[0]
    y = np.array([[0.0], [CELL_PX * mm_per_row]])
    return np.stack(np.broadcast_arrays(across, y), axis=-1)
