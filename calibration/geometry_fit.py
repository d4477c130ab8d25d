"""Fits lens and strip plane to views of a sheet, and makes the geometry of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import CELL_PX, Geometry
from calibration.geometry_views import View
from shadowline.errors import CalibrationError

__all__ = ["GeometryFit", "fit_views"]

_LEAST_VIEWS = 5
_FIELDS = 3  # the frame is 3×3 fields, and the sheet must have been seen in each
_LEAST_TILT_DEG = 12.0  # between some two views
_MOST_FOCAL_SPREAD = 0.02
_MOST_RMS_PX = 0.5
_OUTLIER_SIGMAS = 6.0
_LEAST_OUTLIER_PX = 0.25
_FLAGS: Final = cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_FIX_K3
_STOP: Final = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 200, 1e-12)
_TILT_HINT = "tilt the sheet by 20 to 40 degrees, to another side in each view"


@dataclass(frozen=True, slots=True, eq=False)
class GeometryFit:
    """A geometry with its `figures`, and by how much each point seen misses where the fit expects it.

    `points_px` and `misses_px` are float64 [n,2]; `last` bool [n] marks those of the view that lies on the strip.
    """

    geometry: Geometry
    figures: dict[str, float]
    points_px: NDArray[np.float64]
    misses_px: NDArray[np.float64]
    last: NDArray[np.bool_]


class _Lens(NamedTuple):
    matrix: NDArray[np.float64]
    bend: NDArray[np.float64]
    focal_spread: float
    """Standard error of the focal length, as a part of it."""
    turns: NDArray[np.float64]
    """[views,3]: how the sheet lay, as rotation vectors."""
    shifts: NDArray[np.float64]
    """[views,3]: where its upper left corner was, in mm before the camera."""


def fit_views(views: Sequence[View], left_mm: float = 0.0, thickness_mm: float = 0.0) -> GeometryFit:
    """Return the geometry of the plane that the last of `views` lies on, `thickness_mm` below its print.

    `left_mm` is x at the frame's left edge. The lens bends by k1, k2, p1, p2 (Brown); corners that miss by far more
    than the others are left out. Raises `CalibrationError` for too few views, views that do not show the whole frame
    or are not tilted, and for a sheet that is not flat or not to scale.
    """
    _check_views(views)
    lens = _fit_lens(views)
    kept = [_without_outliers(view, misses) for view, misses in zip(views, _misses(lens, views), strict=True)]
    lens = _fit_lens(kept)
    misses = np.concatenate(_misses(lens, kept))
    rms = float(np.sqrt((misses**2).sum(axis=1).mean()))
    _check_lens(lens, rms)
    corners = [len(view.corners_px) for view in kept]
    geometry = Geometry(_nodes(lens, views[-1].size_px, left_mm, thickness_mm), *views[-1].size_px)
    figures = {
        "views": len(views),
        "corners": sum(corners),
        "corners_left_out": sum(len(view.corners_px) for view in views) - sum(corners),
        "rms_px": rms,
        "worst_px": float(np.linalg.norm(misses, axis=1).max()),
        "blur_px": max(view.blur_px for view in views),
        "across_mm_per_px": geometry.mm_per_px[0],
        "along_mm_per_px": geometry.mm_per_px[1],
        **_lens_figures(lens),
    }
    last = np.repeat(np.arange(len(kept)) == len(kept) - 1, corners)
    return GeometryFit(geometry, figures, np.concatenate([view.corners_px for view in kept]), misses, last)


def _check_views(views: Sequence[View]) -> None:
    """Refuse views that can't tell the lens."""
    if len(views) < _LEAST_VIEWS:
        raise CalibrationError(
            f"{len(views)} views of the sheet, need {_LEAST_VIEWS}: {_TILT_HINT}, and lay it on the strip for the last"
        )
    sizes = sorted({view.size_px for view in views})
    if len(sizes) > 1:
        told = " and ".join(f"{width}×{height}" for width, height in sizes)
        raise CalibrationError(f"the views are of {told} px: take all with one camera at one setting")
    corners = np.concatenate([view.corners_px for view in views])
    fields = np.clip((corners + 0.5) * _FIELDS // np.array(sizes[0]), 0, _FIELDS - 1).astype(int)
    seen = np.zeros((_FIELDS, _FIELDS), bool)
    seen[fields[:, 1], fields[:, 0]] = True
    if not seen.all():
        row, column = np.argwhere(~seen)[0]
        place = ("upper", "middle", "lower")[row] + (" left", "", " right")[column]
        raise CalibrationError(f"no view shows the sheet in the {place} part of the frame: take more views, there too")


def _fit_lens(views: Sequence[View]) -> _Lens:
    points = [np.pad(view.points_mm, ((0, 0), (0, 1))).astype(np.float32) for view in views]
    corners = [view.corners_px.astype(np.float32) for view in views]
    try:
        _, matrix, bend, turns, shifts, spread, _, _ = cv2.calibrateCameraExtended(
            points, corners, views[0].size_px, np.eye(3), np.zeros(5), flags=_FLAGS, criteria=_STOP
        )
    except cv2.error:
        raise CalibrationError(f"the views are too flat to tell the lens: {_TILT_HINT}") from None
    numbers = [np.array(part, np.float64) for part in (matrix, bend, turns, shifts)]
    lens = _Lens(
        numbers[0],
        numbers[1].ravel(),
        float(np.max(spread[:2]) / matrix[0, 0]),
        numbers[2].reshape(-1, 3),
        numbers[3].reshape(-1, 3),
    )
    if not all(np.isfinite(part).all() for part in numbers):
        raise CalibrationError(f"the views are too flat to tell the lens: {_TILT_HINT}")
    return lens


def _misses(lens: _Lens, views: Sequence[View]) -> list[NDArray[np.float64]]:
    """Return by how much each corner of each view misses where `lens` expects it."""
    return [
        view.corners_px - _project(lens, np.pad(view.points_mm, ((0, 0), (0, 1))), turn, shift)
        for view, turn, shift in zip(views, lens.turns, lens.shifts, strict=True)
    ]


def _project(
    lens: _Lens, points: NDArray[np.float64], turn: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(cv2.projectPoints(points, turn, shift, lens.matrix, lens.bend)[0], np.float64).reshape(-1, 2)


def _without_outliers(view: View, misses: NDArray[np.float64]) -> View:
    miss = np.linalg.norm(misses, axis=1)
    near = miss <= max(_LEAST_OUTLIER_PX, _OUTLIER_SIGMAS * float(np.median(miss)))
    return View(view.corners_px[near], view.points_mm[near], view.blur_px, view.size_px)


def _check_lens(lens: _Lens, rms_px: float) -> None:
    normals = np.array([cv2.Rodrigues(turn)[0][:, 2] for turn in lens.turns])
    tilt = float(np.rad2deg(np.arccos(np.clip(np.abs(normals @ normals.T).min(), 0, 1))))
    if rms_px > _MOST_RMS_PX:
        raise CalibrationError(
            f"the corners miss the fit by {rms_px:.2f} px, at most {_MOST_RMS_PX:g}: the sheet is bent, moved, or was"
            " printed with another scale across than along; glue it on a plate and measure both its sides"
        )
    if tilt < _LEAST_TILT_DEG or not lens.focal_spread <= _MOST_FOCAL_SPREAD:  # which may not be finite
        raise CalibrationError(
            f"the views are too flat to tell the lens (tilted by {tilt:.0f} degrees, focal length known to"
            f" {lens.focal_spread:.1%}): {_TILT_HINT}"
        )


def _plane(lens: _Lens, thickness_mm: float) -> NDArray[np.float64]:
    """Return what takes places on the strip (x, y, 1), in mm along the last view's sheet, before the camera [3,3]."""
    turn, shift = cv2.Rodrigues(lens.turns[-1])[0], lens.shifts[-1]
    away = turn[:, 2] * np.sign(turn[:, 2] @ shift)
    return np.stack([turn[:, 0], turn[:, 1], shift + away * thickness_mm], axis=1)


def _nodes(lens: _Lens, size_px: tuple[int, int], left_mm: float, thickness_mm: float) -> NDArray[np.float64]:
    """Return the nodes of the geometry, x to the frame's right and y square to it, as near downwards as can be."""
    width, height = size_px
    rows, columns = np.mgrid[0 : -(-height // CELL_PX) + 1, 0 : -(-width // CELL_PX) + 1] * float(CELL_PX)
    middle = np.array([[width / 2, height / 2], [width / 2 + 1, height / 2], [width / 2, height / 2 + 1]])
    ends = np.array([[0, height / 2], [width / 2, 0]])
    edges = np.concatenate([middle, ends, np.stack([columns, rows], axis=-1).reshape(-1, 2)])
    to_strip = np.linalg.inv(_plane(lens, thickness_mm))
    places = np.pad(_rays(lens, edges - 0.5), ((0, 0), (0, 1)), constant_values=1) @ to_strip.T
    places = places[:, :2] / places[:, 2:]
    right = places[1] - places[0]
    right /= np.linalg.norm(right)
    down = np.array([-right[1], right[0]])
    down *= np.sign(down @ (places[2] - places[0]))
    at = places @ np.stack([right, down], axis=1)
    origin = np.array([at[3, 0] - left_mm, at[4, 1]])
    return np.asarray(at[5:] - origin).reshape(*rows.shape, 2)


def _rays(lens: _Lens, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where `pixels` [n,2] look, at a distance of 1; turns the lens model round step by step."""
    focal = lens.matrix[[0, 1], [0, 1]]
    rays = (pixels - lens.matrix[:2, 2]) / focal
    for _ in range(50):
        ahead = np.pad(rays, ((0, 0), (0, 1)), constant_values=1)
        miss = (_project(lens, ahead, np.zeros(3), np.zeros(3)) - pixels) / focal
        rays -= miss
        if np.abs(miss).max() * focal[0] < 1e-6:
            return rays
    raise CalibrationError(
        "the lens found bends the picture over at its edges: take views with the sheet nearer to them"
    )


def _lens_figures(lens: _Lens) -> dict[str, float]:
    turn, shift = cv2.Rodrigues(lens.turns[-1])[0], lens.shifts[-1]
    quarter = float(np.rad2deg(np.arctan2(turn[1, 0], turn[0, 0]))) % 90
    bend = dict(zip(("k1", "k2", "p1", "p2"), lens.bend.tolist(), strict=False))
    return {
        "tilt_deg": float(np.rad2deg(np.arccos(min(abs(turn[2, 2]), 1)))),
        "sheet_turn_deg": quarter - 90 if quarter > 45 else quarter,
        "distance_mm": float(abs(turn[:, 2] @ shift)),
        "focal_px": float(lens.matrix[0, 0]),
        "focal_spread": lens.focal_spread,
        "centre_x_px": float(lens.matrix[0, 2]),
        "centre_y_px": float(lens.matrix[1, 2]),
        **bend,
    }
