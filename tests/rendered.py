"""Pictures of calibration sheets through a known lens from known places, drawn with supersampling, for tests."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry_views import View
from calibration.targets import Drawing, Sheet

_NOISE_LEVELS = 1.5
_OVER = 3  # samples of a pixel, each way
_PX_PER_MM = 10  # of the drawing that is sampled
_QUIET_MM = 6.0  # white paper around the pattern


@dataclass(frozen=True)
class Place:
    """Where a sheet lies: turned about the camera's x, y and z in degrees, its middle at `middle_mm` before it."""

    middle_mm: tuple[float, float, float]
    turned_deg: tuple[float, float, float] = (0, 0, 0)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """The rotation matrix."""
        x, y, z = (
            cv2.Rodrigues(np.deg2rad(angle) * axis)[0] for angle, axis in zip(self.turned_deg, np.eye(3), strict=True)
        )
        return x @ y @ z


@dataclass(frozen=True)
class Eye:
    """A camera of known lens; pixel centres are whole numbers, as OpenCV has them."""

    size_px: tuple[int, int] = (900, 560)
    focal_px: float = 1300.0
    centre_px: tuple[float, float] = (455.3, 274.6)
    bend: tuple[float, float, float, float] = (-0.18, 0.09, 0.0006, -0.0004)
    """k1, k2, p1, p2 as OpenCV has them."""

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The camera matrix."""
        return np.array([[self.focal_px, 0, self.centre_px[0]], [0, self.focal_px, self.centre_px[1]], [0, 0, 1]])

    def rays(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where the pixels [n,2] look, at a distance of 1 [n,2]."""
        ideal = (pixels - self.centre_px) / self.focal_px
        k1, k2, p1, p2 = self.bend
        rays = ideal.copy()
        for _ in range(30):
            x, y = rays.T
            r2 = x * x + y * y
            radial = k1 * r2 + k2 * r2 * r2
            shift = [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ]
            rays = ideal - np.stack(shift, axis=1)
        return rays

    def on_sheet(self, place: Place, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return which millimetres of the plane of a sheet, from its middle, the pixel edges [n,2] show."""
        rays = self.rays(np.asarray(edges, np.float64) - 0.5)
        return cv2.perspectiveTransform(rays[:, None], _to_sheet(place))[:, 0]

    def view(self, sheet: Sheet, place: Place) -> View:
        """Return the corners of a sheet without an error, those that the frame shows."""
        points = sheet.corners_mm()
        flat = (points - np.array([sheet.columns, sheet.rows]) * sheet.square_mm / 2) @ place.rotation[:, :2].T
        corners = cv2.projectPoints(flat + place.middle_mm, np.zeros(3), np.zeros(3), self.matrix, np.array(self.bend))
        corners_px = corners[0].reshape(-1, 2)
        inside = ((corners_px > 5) & (corners_px < np.array(self.size_px) - 5)).all(axis=1)
        return View(corners_px[inside], points[inside], 0.5, self.size_px)

    @cached_property
    def _samples(self) -> NDArray[np.float32]:
        width, height = self.size_px
        sub = (np.arange(_OVER) + 0.5) / _OVER - 0.5
        x = (np.arange(width)[:, None] + sub).ravel()
        y = (np.arange(height)[:, None] + sub).ravel()
        return self.rays(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).astype(np.float32)[:, None]

    def see(self, drawing: Drawing, place: Place, blur_px: float = 0.6) -> NDArray[np.uint8]:
        """Return the picture of a sheet."""
        width, height = self.size_px
        edge = np.array(drawing.size_mm) / 2 + _QUIET_MM
        shift = np.array([[1, 0, edge[0] - 0.5 / _PX_PER_MM], [0, 1, edge[1] - 0.5 / _PX_PER_MM], [0, 0, 1]])
        to_paper = np.diag([_PX_PER_MM, _PX_PER_MM, 1]) @ shift @ _to_sheet(place)
        at = cv2.perspectiveTransform(self._samples, to_paper).reshape(height * _OVER, width * _OVER, 2)
        picture = cv2.remap(_paper(drawing), at, None, cv2.INTER_LINEAR, borderValue=(70,))
        picture = cv2.resize(picture.astype(np.float32), self.size_px, interpolation=cv2.INTER_AREA)
        picture = cv2.GaussianBlur(picture, (0, 0), blur_px) * np.linspace(0.9, 1.1, width)
        noise = np.random.default_rng(5).normal(0, _NOISE_LEVELS, picture.shape)
        return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def _to_sheet(place: Place) -> NDArray[np.float64]:
    """Return what takes rays to millimetres from the sheet's middle [3,3]."""
    rotation = place.rotation
    return np.linalg.inv(np.stack([rotation[:, 0], rotation[:, 1], place.middle_mm], axis=1))


def _paper(drawing: Drawing) -> NDArray[np.uint8]:
    width, height = (round((side + 2 * _QUIET_MM) * _PX_PER_MM) for side in drawing.size_mm)
    paper = np.full((height, width), 200, np.uint8)
    edges = drawing.boxes_mm + _QUIET_MM * np.array([1, 1, 0, 0])
    edges[:, 2:] += edges[:, :2]
    for left, top, right, bottom in np.rint(edges * _PX_PER_MM).astype(int):
        paper[top:bottom, left:right] = 40
    return paper


STRIP = Place((3, 2, 400), (1.5, -2, 1.2))
"""Where the last view lies."""


def tilted_places(tilt_deg: float = 25.0, distance_mm: float = 380.0) -> list[Place]:
    """Return ten places that tilt to all sides and reach into all parts of the frame."""
    x, y = 45.0, 25.0
    turns = [(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7), (0.4, 0), (0, 0.4)]
    shifts = [(-1, -1), (1, -1), (-1, 1), (1, 1), (0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)]
    return [
        Place((x * right, y * down, distance_mm * (1 + 0.05 * right)), (tilt_deg * a, tilt_deg * b, 4.0 * a - 7.0 * b))
        for (a, b), (right, down) in zip(turns, shifts, strict=True)
    ]
