"""The six NEU defect kinds as small drawn marks: relative changes of light, to be multiplied into a strip. Pure.

Drawn after the hot-rolled strip pictures of Song & Yan (2013); the rolling direction is down the picture.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["LABELS", "Mark", "draw_mark"]

Mark = NDArray[np.float32]
"""H×W change of light relative to the surface: -0.5 halves it, +1 doubles it, 0 leaves it."""

_VISIBLE = 0.06  # a mark ends where its change of light falls below this part of the surface
_SUBPIXEL_BITS = 4


def draw_mark(label: str, rng: np.random.Generator) -> Mark:
    """Return one mark of kind `label`, cut to its visible part, at most 260×260."""
    mark = _KINDS[label](rng)
    rows = np.flatnonzero((np.abs(mark) > _VISIBLE).any(axis=1))
    columns = np.flatnonzero((np.abs(mark) > _VISIBLE).any(axis=0))
    return np.ascontiguousarray(mark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _cloud(rng: np.random.Generator, shape: tuple[int, int], sigma_y: float, sigma_x: float) -> Mark:
    """Return smooth noise of mean 0 and standard deviation 1."""
    noise = rng.standard_normal(shape, np.float32)
    cloud = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
    return np.asarray((cloud - cloud.mean()) / cloud.std(), np.float32)


def _smooth_step(values: Mark, low: float, high: float) -> Mark:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between."""
    part = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def _area(rng: np.random.Generator, height: int, width: int, raggedness: float, rim: float) -> Mark:
    """Return 1 inside a ragged ellipse of about `height`×`width`, 0 outside; `rim` is its fading part of the radius."""
    y, x = np.mgrid[-1.5 : 1.5 : (height * 1.5) * 1j, -1.5 : 1.5 : (width * 1.5) * 1j].astype(np.float32)
    radius = np.sqrt(x * x + y * y)
    coarse = _cloud(rng, radius.shape, height / 8, width / 8)
    fine = _cloud(rng, radius.shape, 5.0, 2.5)
    inside = 1 - radius - 2 * np.maximum(radius - 1, 0) + raggedness * (0.8 * coarse + 0.35 * fine)
    return _smooth_step(inside, 0.0, rim)


def _stroke(canvas: Mark, path: NDArray[np.float64], half_widths: NDArray[np.float64], depth: float) -> None:
    """Draw along `path` [n,2] of x, y with `half_widths` [n] px; negative `depth` darkens, the strongest wins."""
    ahead = np.gradient(path, axis=0)
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / np.linalg.norm(ahead, axis=1, keepdims=True)
    reach = aside * half_widths[:, None]
    outline = np.concatenate([path + reach, (path - reach)[::-1]])
    ink = np.zeros(canvas.shape, np.uint8)
    fixed = np.rint(outline * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(ink, [fixed], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    layer = ink.astype(np.float32) * (depth / 255)
    (np.minimum if depth < 0 else np.maximum)(canvas, layer, out=canvas)


def _wave(rng: np.random.Generator, length: int, sigma: float) -> NDArray[np.float64]:
    """Return `length` values of smooth noise of about unit size."""
    noise = cv2.GaussianBlur(rng.standard_normal((1, length)), (0, 0), sigmaX=sigma, sigmaY=1e-3)
    return np.asarray(noise[0] * np.sqrt(2 * sigma * np.sqrt(np.pi)), np.float64)


def _crazing(rng: np.random.Generator) -> Mark:
    """A field of fine wavy cracks across the rolling direction that branch into each other, on roughened steel."""
    height, width = int(rng.integers(80, 170)), int(rng.integers(110, 200))
    field = _area(rng, height, width, 0.25, 0.6)
    canvas = np.zeros_like(field)
    pitch = rng.uniform(10, 16)
    for y in np.arange(pitch, canvas.shape[0] - pitch, pitch):
        for x in np.arange(pitch, canvas.shape[1] - pitch, 2.2 * pitch):
            steps = int(rng.integers(8, 22))
            branch = rng.random() < 0.2
            slope = rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 1.3) if branch else 0.0
            angles = slope + 0.5 * _wave(rng, steps, 1.0) + 0.15 * rng.standard_normal()
            path = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * 3.2, axis=0)
            path += np.array([x, y]) - path[steps // 2] + rng.uniform(-0.35, 0.35, 2) * pitch
            widths = rng.uniform(0.35, 0.75) * np.abs(1 + 0.5 * _wave(rng, steps, 1.5))
            _stroke(canvas, path, widths, -rng.uniform(0.3, 0.62))
    cracks = cv2.GaussianBlur(canvas, (0, 0), 0.7) * 1.3 * (1 + 0.3 * np.clip(_cloud(rng, field.shape, 5, 8), -2, 1))
    rough = 0.05 * _cloud(rng, field.shape, 0.8, 0.8) - rng.uniform(0.09, 0.14)
    return np.asarray(field * (field * cracks + rough), np.float32)


def _inclusion(rng: np.random.Generator) -> Mark:
    """A file of dark slivers, pointed at both ends and drawn out along the rolling direction."""
    canvas = np.zeros((240, 90), np.float32)
    depth = rng.uniform(0.3, 0.6)
    for number in range(int(rng.integers(1, 7))):
        length = rng.uniform(60, 170) if number == 0 else rng.uniform(14, 70)
        along = np.linspace(0, 1, 60)
        x = 45 + rng.normal(0, 6 if number else 1) + 1.2 * _wave(rng, 60, 8)
        path = np.stack([x, rng.uniform(5, 235 - length) + along * length], 1)
        swell = np.sin(np.pi * along ** rng.uniform(0.6, 1.6)) * (1 + 0.3 * _wave(rng, 60, 3))
        half_width = max(1.3, length * rng.uniform(0.025, 0.08))
        _stroke(canvas, path, half_width * np.maximum(swell, 0.05), -depth * rng.uniform(0.7, 1.1))
    streaks = 1 + 0.13 * _cloud(rng, canvas.shape, 10, 1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.0) * streaks, np.float32)


def _patches(rng: np.random.Generator) -> Mark:
    """A broad dark stain, fairly even inside, with a soft ragged outline."""
    height, width = int(rng.integers(70, 180)), int(rng.integers(50, 120))
    stain = _area(rng, height, width, rng.uniform(0.14, 0.26), rng.uniform(0.15, 0.4))
    tone = 1 + 0.12 * _cloud(rng, stain.shape, 14, 8) + 0.06 * _cloud(rng, stain.shape, 2.5, 0.7)
    return np.asarray(stain * tone * -rng.uniform(0.42, 0.7), np.float32)


def _pitted_surface(rng: np.random.Generator) -> Mark:
    """A greyed area peppered with small round dark pits that run together in places."""
    height, width = int(rng.integers(70, 160)), int(rng.integers(60, 160))
    area = _area(rng, height, width, 0.2, 0.5)
    size = rng.uniform(1.0, 2.0)
    density = 0.3 * _cloud(rng, area.shape, 18, 14)
    pits = _smooth_step(_cloud(rng, area.shape, size * 1.2, size) + density, 0.7, 1.5)
    craters = _smooth_step(_cloud(rng, area.shape, size * 2.6, size * 2) + density, 1.6, 2.1)
    grey = rng.uniform(0.16, 0.22) * (1 + 0.2 * _cloud(rng, area.shape, 8, 6))
    depth = rng.uniform(0.3, 0.42) * (1 + 0.3 * np.clip(_cloud(rng, area.shape, 4, 3), -1.5, 1))
    return np.asarray(-area * (grey + depth * np.maximum(pits, craters)), np.float32)


def _rolled_in_scale(rng: np.random.Generator) -> Mark:
    """A clump of short dark flakes, smeared across the rolling direction and lined with bright steel."""
    height, width = int(rng.integers(60, 130)), int(rng.integers(110, 200))
    area = _area(rng, height, width, 0.35, 0.8)
    clumps = 0.5 * _cloud(rng, area.shape, 9, 14)
    flakes = _smooth_step(_cloud(rng, area.shape, 1.9, 5.5) + clumps, 0.2, 1.5)
    lines = _cloud(rng, area.shape, 0.9, 6.0)
    dark = rng.uniform(0.13, 0.17) + flakes * (rng.uniform(0.4, 0.55) - 0.1 * lines)
    bright = 0.3 * _smooth_step(lines, 1.2, 2.2) * (1 - flakes)
    return np.asarray(area * (bright - dark), np.float32)


def _scratches(rng: np.random.Generator) -> Mark:
    """One to four bright, nearly parallel grooves, mostly along the rolling direction."""
    canvas = np.zeros((260, 260), np.float32)
    heading = np.pi / 2 + 0.03 * rng.standard_normal()
    if rng.random() < 0.2:
        heading += rng.uniform(-1.6, 1.6)
    ahead = np.array([np.cos(heading), np.sin(heading)])
    aside = np.array([-ahead[1], ahead[0]])
    for number in range(int(rng.integers(1, 5))):
        length = rng.uniform(120, 240) * (1.0 if number == 0 else rng.uniform(0.3, 0.8))
        along = np.linspace(-0.5, 0.5, 60)
        middle = (0.0 if number == 0 else rng.uniform(-0.4, 0.4)) * (240 - length)
        bend = 1.2 * _wave(rng, 60, 14) + (0.0 if number == 0 else rng.normal(0, 7))
        path = 130 + (along * length + middle)[:, None] * ahead + bend[:, None] * aside
        taper = np.minimum(1, 6 * (0.5 - np.abs(along)) + 0.1) * np.clip(1 + 0.35 * _wave(rng, 60, 3), 0.3, 2)
        _stroke(canvas, path, taper * (rng.uniform(0.8, 2.2) if number == 0 else 0.7), rng.uniform(0.5, 1.0))
    glint = 1 + 0.25 * _cloud(rng, canvas.shape, 2.5, 0.9) + 0.25 * np.clip(_cloud(rng, canvas.shape, 12, 12), -2, 2)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.7) * 1.2 * glint, np.float32)


_KINDS: Mapping[str, Callable[[np.random.Generator], Mark]] = {
    "crazing": _crazing,
    "inclusion": _inclusion,
    "patches": _patches,
    "pitted_surface": _pitted_surface,
    "rolled-in_scale": _rolled_in_scale,
    "scratches": _scratches,
}

LABELS: tuple[str, ...] = tuple(_KINDS)
"""The labels of the NEU data set, in their alphabetical order."""
