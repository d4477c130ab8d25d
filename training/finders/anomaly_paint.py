"""Made-up defects, painted into defect-free pictures: what an anomaly map learns from. Pure.

Nobody knows what an unseen defect looks like, so the kinds are as many as cheap: spots and lines, darker or brighter;
foreign patches cut from other pictures (Li et al. 2021; Schlüter et al. 2022); areas with another surface. Shapes are
blobs that noise has bent (Zavrtanik et al. 2021), a third of them cut off by the border, where real damage often lies.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["PAINTED", "Kind", "paint"]

Kind: TypeAlias = Literal["spot", "line", "patch", "surface"]
PAINTED: Final[tuple[Kind, ...]] = ("spot", "line", "patch", "surface")

_Map: TypeAlias = NDArray[np.float32]
_Size: TypeAlias = tuple[float, float]

_AT_BORDER = 0.35
_BOX_SHAPED = 0.25
_DARK = 0.8
_MOST = 3
_LEAST_CONTRAST = 6.0
"""Grey levels that count as a picture's contrast where it has less."""
_LEAST_SEEN = 3.0
"""Grey levels that a picture must have changed by for a cell to count as defect."""
_LARGEST_SPOT_PX = 32.0


def paint(
    image: NDArray[np.uint8],
    other: NDArray[np.uint8],
    rng: np.random.Generator,
    kinds: Sequence[Kind],
    size_px: _Size,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a copy of `image` [H,W] with one to three defects, and where they can be seen, [H,W].

    `other` is what patches are cut from, stretched to the same size; `size_px` are the smallest and the largest size.
    """
    picture, foreign = image.astype(np.float32), cv2.resize(other, image.shape[::-1]).astype(np.float32)
    found = np.zeros(image.shape, np.bool_)
    for _ in range(rng.integers(1, _MOST + 1)):
        kind = kinds[int(rng.integers(len(kinds)))]
        opacity, changed = _PAINTERS[kind](picture, foreign, rng, size_px)
        after = picture * (1 - opacity) + changed * opacity
        difference = np.abs(cv2.GaussianBlur(after - picture, (0, 0), 1.0))
        seen = difference > _LEAST_SEEN if kind in ("spot", "line") else difference.max() > _LEAST_SEEN
        found |= (opacity > 0.35) & seen
        picture = np.asarray(after, np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), found


def _spot(picture: _Map, _other: _Map, rng: np.random.Generator, size_px: _Size) -> tuple[_Map, _Map]:
    """A spot or a hole, with some texture of its own."""
    size = _drawn_size(rng, size_px[0], min(size_px[1], _LARGEST_SPOT_PX))
    grain = rng.uniform(0, 0.6) * _contrast(picture) * _noise(rng, picture.shape, rng.uniform(2, 6))
    return _blob(rng, picture.shape, size), picture + _step(picture, rng) + grain.astype(np.float32)


def _line(picture: _Map, _other: _Map, rng: np.random.Generator, size_px: _Size) -> tuple[_Map, _Map]:
    """A crack or a scratch: a walk that changes its direction a little at each step."""
    height, width = picture.shape
    length = _drawn_size(rng, max(size_px[0], 8.0), size_px[1])
    count = max(3, int(length / 5))
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.05, 0.6), count))
    steps = length / count * np.stack([np.cos(angles), np.sin(angles)], 1)
    points = rng.uniform(0, 1, 2) * (width, height) + np.cumsum(steps, 0)
    drawn = np.zeros(picture.shape, np.uint8)
    thickness = int(rng.integers(1, 4))
    cv2.polylines(drawn, [np.rint(points * 8).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 3)
    opacity = cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), rng.uniform(0.4, 1.2))
    return np.asarray(opacity, np.float32), picture + _step(picture, rng)


def _patch(picture: _Map, other: _Map, rng: np.random.Generator, size_px: _Size) -> tuple[_Map, _Map]:
    """A piece of another picture, as bright as what it covers or not."""
    opacity = _blob(rng, picture.shape, _drawn_size(rng, size_px[0], size_px[1]))
    shift = (int(rng.integers(other.shape[0])), int(rng.integers(other.shape[1])))
    piece = np.roll(other[:: rng.choice((-1, 1))], shift, (0, 1))
    covered = float((picture * opacity).sum() / max(opacity.sum(), 1.0))
    level = covered + rng.uniform(-2.5, 1.5) * _contrast(picture)
    return opacity, np.asarray((piece - piece.mean()) * np.float32(rng.uniform(0.6, 1.6)) + np.float32(level))


def _surface(picture: _Map, _other: _Map, rng: np.random.Generator, size_px: _Size) -> tuple[_Map, _Map]:
    """An area that is smoother or rougher, and lighter or darker, than it was."""
    opacity = _blob(rng, picture.shape, _drawn_size(rng, max(size_px[0], size_px[1] / 6), size_px[1]))
    smooth = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 5))
    texture = rng.uniform(0, 0.5) if rng.random() < 0.5 else rng.uniform(1, 2.5)
    gain = np.exp(rng.uniform(0.12, 0.6) * rng.choice((-1, 1)))
    grain = rng.uniform(0, 0.4) * _contrast(picture) * _noise(rng, picture.shape, rng.uniform(1.5, 5))
    return opacity, np.asarray((smooth + (picture - smooth) * texture) * gain + grain, np.float32)


_PAINTERS: Mapping[Kind, Callable[[_Map, _Map, np.random.Generator, _Size], tuple[_Map, _Map]]] = {
    "spot": _spot,
    "line": _line,
    "patch": _patch,
    "surface": _surface,
}
"""Each returns how opaque its defect is, 0 to 1 [H,W], and what the picture would be where it is opaque [H,W]."""


def _blob(rng: np.random.Generator, shape: tuple[int, ...], size_px: float) -> _Map:
    """Return a bent ellipse or box about `size_px` across, 0 to 1 with a soft edge [H,W]."""
    height, width = shape
    radius, longer = size_px / 2, np.exp(rng.uniform(0, np.log(1.75)))
    middle = rng.uniform(0, 1, 2) * (height, width)
    if rng.random() < _AT_BORDER:
        axis = int(rng.integers(2))
        middle[axis] = rng.choice((0, shape[axis]))
    y, x = np.mgrid[:height, :width].astype(np.float32) - middle.astype(np.float32)[:, None, None]
    angle = rng.uniform(0, np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle)) / (radius * longer)
    across = (y * np.cos(angle) - x * np.sin(angle)) / (radius / longer)
    boxed = rng.random() < _BOX_SHAPED
    away = np.maximum(np.abs(along), np.abs(across)) if boxed else np.hypot(along, across)
    away = away + rng.uniform(0, 0.45) * _noise(rng, shape, max(3.0, radius * rng.uniform(0.4, 1.2)))
    return np.asarray(np.clip((1 - away) / rng.uniform(0.03, 0.4) + 0.5, 0, 1), np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], pitch_px: float) -> _Map:
    """Return smooth noise of deviation about 1 [H,W]; `pitch_px` is the width of its waves."""
    height, width = shape
    coarse = rng.standard_normal((int(height / pitch_px) + 2, int(width / pitch_px) + 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _drawn_size(rng: np.random.Generator, smallest: float, largest: float) -> float:
    """Return a size between the two, each octave as often as the others."""
    return float(np.exp(rng.uniform(np.log(smallest), np.log(max(smallest, largest)))))


def _contrast(picture: _Map) -> float:
    return max(float(picture.std()), _LEAST_CONTRAST)


def _step(picture: _Map, rng: np.random.Generator) -> np.float32:
    """Return how much darker or brighter a defect is."""
    return np.float32(rng.uniform(0.8, 3.5) * _contrast(picture) * (-1 if rng.random() < _DARK else 1))
