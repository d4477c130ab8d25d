"""A moving hot-rolled strip with defects in known places, drawn from a seed. Pure; used by the capture thread.

Everything dear is drawn once at opening; a frame is then one addition of two tiles and one product a defect.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from station.camera.defects import LABELS, Mark, draw_mark

__all__ = ["LABELS", "Defect", "Strip"]

_MARKS_PER_LABEL = 8
_LEVEL = 128.0  # mean grey level of the strip
_NOISE_SIGMA = 2.4  # grey levels of the sensor
_NOISE_BIAS = 16  # added to the noise tile to keep it unsigned, taken off the surface tile
_NOISE_MARGIN_PX = 64  # the noise tile is so much larger, to be laid differently on each frame
_CLEAR_PX = 12  # space around each defect, while the frame has room
_EDGE_PX = 2  # space between a defect and the frame's edge
_PLACE_TRIES = 6


@dataclass(frozen=True, slots=True)
class Defect:
    """One drawn defect: its NEU label and its box x, y, w, h in pixels, wholly inside the frame."""

    label: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A defect and how its mark is drawn: which one, mirrored how (`cv2.flip` code or None), how strong."""

    defect: Defect
    mark: int
    flip: int | None
    strength: float


class Strip:
    """A strip that moves on by one frame height from index to index.

    Frames and their truth depend on the arguments and the index alone, whatever was asked for before. The number of
    defects a frame is Poisson distributed; they overlap only where the frame is too full to keep them apart.
    """

    def __init__(self, width_px: int, height_px: int, seed: int, defects_per_frame: float) -> None:
        self.shape = (height_px, width_px)
        self._seed = seed
        self._defects_per_frame = defects_per_frame
        rng = np.random.default_rng(seed)
        self._period_rows = height_px + height_px // 4 + 1
        self._surface = _surface_tile(rng, self._period_rows, height_px, width_px)
        self._noise = _noise_tile(rng, height_px + _NOISE_MARGIN_PX, width_px + _NOISE_MARGIN_PX)
        self._marks = tuple(draw_mark(label, rng) for label in LABELS for _ in range(_MARKS_PER_LABEL))

    def truth(self, index: int) -> tuple[Defect, ...]:
        """Return the defects of frame `index`."""
        return tuple(placed.defect for placed in self._place(self._rng(index)))

    def frame(self, index: int) -> tuple[NDArray[np.uint8], tuple[Defect, ...]]:
        """Return frame `index`, uint8 [height,width] in an array of its own, and its defects."""
        image = np.empty(self.shape, np.uint8)
        return image, self.render(index, image)

    def render(self, index: int, out: NDArray[np.uint8]) -> tuple[Defect, ...]:
        """Draw frame `index` into `out`, uint8 [height,width], and return its defects; makes no array of that size."""
        height, width = self.shape
        rng = self._rng(index)
        placed = self._place(rng)
        row = index * height % self._period_rows
        down, right = rng.integers(0, _NOISE_MARGIN_PX, 2, endpoint=True)
        cv2.add(self._surface[row : row + height], self._noise[down : down + height, right : right + width], dst=out)
        for one in placed:
            self._draw(one, out)
        return tuple(one.defect for one in placed)

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, index))

    def _place(self, rng: np.random.Generator) -> list[_Placed]:
        """Choose the defects of a frame from its generator."""
        height, width = self.shape
        placed: list[_Placed] = []
        taken = np.empty((0, 4))
        for _ in range(int(rng.poisson(self._defects_per_frame))):
            mark = int(rng.integers(len(self._marks)))
            mark_h, mark_w = self._marks[mark].shape
            fit = min(1.0, (width - 2 * _EDGE_PX) / (1.25 * mark_w), (height - 2 * _EDGE_PX) / (1.25 * mark_h))
            size = np.maximum(1, np.rint(np.array([mark_w, mark_h]) * fit * rng.uniform(0.75, 1.25, 2)))
            corners = _EDGE_PX + rng.random((_PLACE_TRIES, 2)) * (np.array([width, height]) - 2 * _EDGE_PX - size)
            corner = _clearest(np.floor(corners), size, taken)
            taken = np.vstack([taken, [*corner, *(corner + size)]])
            box = (int(corner[0]), int(corner[1]), int(size[0]), int(size[1]))
            flip = (None, 0, 1, -1)[int(rng.integers(4))]
            defect = Defect(LABELS[mark // _MARKS_PER_LABEL], box)
            placed.append(_Placed(defect, mark, flip, float(rng.uniform(0.85, 1.2))))
        return placed

    def _draw(self, placed: _Placed, out: NDArray[np.uint8]) -> None:
        """Multiply one defect into the frame."""
        x, y, w, h = placed.defect.box
        light = cv2.resize(self._marks[placed.mark], (w, h), interpolation=cv2.INTER_LINEAR)
        if placed.flip is not None:
            light = cv2.flip(light, placed.flip)
        part = out[y : y + h, x : x + w]
        cv2.multiply(part, light * placed.strength + 1, dst=part, dtype=cv2.CV_8U)


def _clearest(
    corners: NDArray[np.float64], size: NDArray[np.float64], taken: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the first of `corners` [n,2] whose box of `size` keeps clear of all boxes `taken` [m,4]; else the last."""
    before = corners[:, None] + size + _CLEAR_PX <= taken[:, :2]
    behind = corners[:, None] >= taken[:, 2:] + _CLEAR_PX
    clear = np.all(np.any(before | behind, axis=2), axis=1)
    return np.asarray(corners[int(clear.argmax()) if clear.any() else -1], np.float64)


def _surface_tile(rng: np.random.Generator, period_rows: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return the lit strip, uint8 [period_rows + height,width]: any `height` rows of it are a frame's surface."""
    across = np.linspace(-1, 1, width, dtype=np.float32)
    lamp = (1 - 0.28 * across**4) * (1 + 0.06 * across)
    profile = _rows_of_noise(rng, 1, width, 1.0)[0] * 0.012 + _rows_of_noise(rng, 1, width, 25.0)[0] * 0.02
    streaks = _along(rng, period_rows, width, every_rows=90, sigma_px=1.2) * 0.014
    drift = _along(rng, period_rows, width, every_rows=max(90, period_rows // 4), sigma_px=width / 6) * 0.02
    grain = cv2.GaussianBlur(rng.standard_normal((period_rows, width), np.float32), (0, 0), 0.5, sigmaY=1.6) * 0.05
    strip = (1 + profile + streaks + drift + grain) * (lamp * _LEVEL) - _NOISE_BIAS
    tile = cv2.convertScaleAbs(np.maximum(strip, 0))
    return np.asarray(np.concatenate([tile, tile[:height]]), np.uint8)


def _along(rng: np.random.Generator, rows: int, width: int, every_rows: int, sigma_px: float) -> Mark:
    """Return noise [rows,width] that changes slowly down the strip, seamless from the last row to the first."""
    knots = _rows_of_noise(rng, max(2, rows // every_rows), width, sigma_px)
    ring = np.concatenate([knots, knots[:1]])
    return np.asarray(cv2.resize(ring, (width, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _rows_of_noise(rng: np.random.Generator, rows: int, width: int, sigma_px: float) -> Mark:
    """Return rows of smooth noise of standard deviation 1."""
    noise = rng.standard_normal((rows, width), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma_px, sigmaY=1e-3)
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), np.float32)


def _noise_tile(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Return sensor noise around `_NOISE_BIAS`, uint8 [height,width]."""
    noise = rng.standard_normal((height, width), np.float32)
    return np.asarray(cv2.convertScaleAbs(np.maximum(noise * _NOISE_SIGMA + _NOISE_BIAS, 0)), np.uint8)
