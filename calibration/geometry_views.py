"""Finds the corners of a calibration sheet in a picture, to hundredths of a pixel. Pure."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.targets import Sheet
from shadowline.errors import CalibrationError

__all__ = ["Picture", "View", "find_sheet"]

Picture: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_LEAST_CORNERS = 12
_MOST_BLUR_PX = 2.0  # beyond it corners wander with the light, and the station would miss fine defects
_MARKER_TOLERANCE = 0.05
_OUTLINE_PX = 2.0  # a marker's outline is found within whole pixels, and inside


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A sheet as a picture shows it: `corners_px` [n,2] float64, pixel centres whole, are `points_mm` [n,2] of it.

    `blur_px` is the standard deviation of the blur at its edges.
    """

    corners_px: NDArray[np.float64]
    points_mm: NDArray[np.float64]
    blur_px: float
    size_px: tuple[int, int]


def find_sheet(sheet: Sheet, picture: Picture) -> View:
    """Return the view of `sheet` in `picture`, uint8 or uint16 H×W.

    Raises `CalibrationError` when it is not there, is too blurred, or is another sheet.
    """
    grey = _as_8_bit(picture)
    corners, numbers = (_find_charuco if sheet.pattern == "charuco" else _find_checkerboard)(sheet, grey)
    if len(corners) < _LEAST_CORNERS:
        raise CalibrationError(
            f"found {len(corners)} corners of the sheet, need {_LEAST_CORNERS}: show more of it, in focus and"
            f" evenly lit, and check that it is {sheet.draw().caption}"
        )
    points = sheet.corners_mm()[numbers]
    reach = _clear_px(sheet, _square_px(sheet, corners, points))
    corners, sure = _saddles(grey, corners, reach)
    corners, points = corners[sure], points[sure]
    blur = _blur_px(grey, corners, reach)
    if blur > _MOST_BLUR_PX:
        raise CalibrationError(
            f"the picture is too blurred: {blur:.1f} px, at most {_MOST_BLUR_PX:g}: focus, and keep the sheet still"
        )
    return View(corners, points, blur, (grey.shape[1], grey.shape[0]))


def _as_8_bit(picture: Picture) -> NDArray[np.uint8]:
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture, np.uint8)
    return np.asarray(cv2.convertScaleAbs(picture, alpha=255 / max(int(picture.max()), 1)), np.uint8)


def _find_charuco(sheet: Sheet, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return corners [n,2] and their numbers [n]."""
    detected: tuple[Any, ...] = cv2.aruco.CharucoDetector(sheet.make_board()).detectBoard(grey)
    corners, numbers, markers, _ = detected
    if corners is None or numbers is None:
        return np.empty((0, 2)), np.empty(0, np.intp)
    found, named = corners.reshape(-1, 2).astype(np.float64), numbers.ravel().astype(np.intp)
    if len(found) >= _LEAST_CORNERS:
        _check_markers(sheet, found, named, markers)
    return found, named


def _check_markers(sheet: Sheet, corners: NDArray[np.float64], numbers: NDArray[np.intp], markers: Any) -> None:
    """Refuse markers that are not as large, held against the squares, as `sheet` says."""
    plane, _ = cv2.findHomography(corners, sheet.corners_mm()[numbers], cv2.RANSAC, 3.0 * sheet.square_mm / 100)
    outlines = np.concatenate([np.reshape(marker, (-1, 1, 2)) for marker in markers]).astype(np.float64)
    flat = cv2.perspectiveTransform(outlines, plane).reshape(-1, 4, 2)
    side = float(np.median(np.linalg.norm(flat - np.roll(flat, 1, axis=1), axis=2)))
    outline = _OUTLINE_PX * sheet.square_mm / max(_square_px(sheet, corners, sheet.corners_mm()[numbers]), 1)
    if abs(side - sheet.marker_mm) > max(_MARKER_TOLERANCE * sheet.marker_mm, outline):
        raise CalibrationError(
            f"with squares of {sheet.square_mm:g} mm the markers are {side:.2f} mm, not {sheet.marker_mm:g}: measure"
            " both on the sheet, and say so"
        )


def _find_checkerboard(sheet: Sheet, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return all corners [n,2] and their numbers [n], or none; the sheet has to be seen whole."""
    shape = (sheet.columns - 1, sheet.rows - 1)
    found, corners = cv2.findChessboardCornersSB(grey, shape, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not found:
        return np.empty((0, 2)), np.empty(0, np.intp)
    return corners.reshape(-1, 2).astype(np.float64), np.arange(shape[0] * shape[1])


def _square_px(sheet: Sheet, corners: NDArray[np.float64], points: NDArray[np.float64]) -> float:
    """Return the shortest side of a square; 0 where no two corners are neighbours."""
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=2)
    neighbours = np.isclose(np.linalg.norm(points[:, None] - points[None], axis=2), sheet.square_mm)
    return float(apart[neighbours].min()) if neighbours.any() else 0.0


def _clear_px(sheet: Sheet, square_px: float) -> int:
    """Return how far around a corner there is nothing but the four fields that meet there."""
    clear = (sheet.square_mm - sheet.marker_mm) / 2 if sheet.pattern == "charuco" else 0.4 * sheet.square_mm
    return int(np.clip(square_px * clear / sheet.square_mm, 2, 9))


def _saddles(
    grey: NDArray[np.uint8], corners: NDArray[np.float64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return where the grey has its saddle near each of `corners` [n,2], and whether it has one, within `reach`.

    It is that of a parabola fitted under a bell. Blur that is even to all sides leaves it in its place; on rendered
    sheets this is three times as exact as `cv2.cornerSubPix`.
    """
    bell_px = reach / 3
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), bell_px)
    y, x = (part.ravel() for part in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    weight = np.exp(-(x * x + y * y) / (4 * bell_px**2))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1) * weight[:, None]
    solve = np.linalg.pinv(terms) * weight
    last = np.array(grey.shape[::-1]) - 1 - reach
    at = corners
    for _ in range(3):
        base = np.clip(np.rint(at).astype(int), reach, last)
        c = smooth[base[:, 1, None] + y, base[:, 0, None] + x] @ solve.T
        bend = np.stack([2 * c[:, 3], c[:, 4], c[:, 4], 2 * c[:, 5]], axis=1).reshape(-1, 2, 2)
        at = base - np.clip((np.linalg.pinv(bend) @ c[:, 1:3, None])[..., 0], -reach, reach)
    return at, (np.linalg.det(bend) < 0) & (np.abs(at - corners).max(axis=1) < reach)


def _blur_px(grey: NDArray[np.uint8], corners: NDArray[np.float64], reach: int) -> float:
    """Return the blur's standard deviation: a step of height h blurred by s has the slope h / (s √(2π)).

    Of its square, 1/3 is taken off: that of the difference over two pixels, which makes the slope.
    """
    blurs = []
    for x, y in np.rint(corners).astype(int):
        part = grey[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1].astype(np.float64)
        down, across = np.gradient(part)
        step = np.ptp(np.percentile(part, (5, 95)))
        slope = float(np.percentile(np.hypot(down, across), 98))
        blurs.append(step / max(slope, 1e-6) / np.sqrt(2 * np.pi))
    return float(np.sqrt(max(np.median(blurs) ** 2 - 1 / 3, 0.0)))
