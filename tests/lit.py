"""A rendered camera with a known flat field, and surfaces for it to see: an even sheet, a running strip."""

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.frame_mean import FrameMean, Image

__all__ = ["LitCamera"]

Plane = NDArray[np.float32]

_MARGIN_PX = 32
_NOISE_LEVELS = 2.0


class LitCamera:
    """Vignette, a tilted lamp, dust on the glass, and a pattern of pixels and columns, in the light and in the dark.

    `pattern` is that in the dark, in levels. `gain` (mean 1) and `dark` (8-bit levels) are the truth; a frame is
    `surface × gain + dark`, noise, and rounding.
    """

    def __init__(
        self, height: int, width: int, seed: int = 1, black: float = 4.0, pattern: float = 0.5, specks: int = 6
    ) -> None:
        self.shape = (height, width)
        self._rng = rng = np.random.default_rng(seed)
        across, down = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
        gain = (1 - 0.3 * across**2 - 0.1 * down**2) * (1 + 0.05 * across)
        gain = gain * (1 + 0.01 * rng.standard_normal(self.shape)) * (1 + 0.008 * rng.standard_normal((1, width)))
        for _ in range(specks):
            gain *= self._speck(rng)
        self.gain: Plane = (gain / gain.mean()).astype(np.float32)
        dark = black + pattern * (rng.standard_normal((1, width)) + rng.standard_normal(self.shape))
        self.dark: Plane = np.maximum(dark, 0).astype(np.float32)
        larger = (height + _MARGIN_PX, width + _MARGIN_PX)
        self._noise = [rng.standard_normal(larger, np.float32) for _ in range(4)]

    def sheet(self, level: float) -> Plane:
        """Return an even surface."""
        return np.full(self.shape, level, np.float32)

    def strip(self, level: float, grain: float = 0.04, defects: int = 2) -> Plane:
        """Return a strip that ran on since the last: new texture, and now and then a dark scar."""
        surface = level * (1 + grain * self._noisy())
        height, width = self.shape
        for x, y in zip(self._rng.integers(0, width, defects), self._rng.integers(0, height, defects), strict=True):
            cv2.ellipse(surface, (int(x), int(y)), (12, 4), float(self._rng.integers(180)), 0, 360, 0.4 * level, -1)
        return np.asarray(surface, np.float32)

    def expose(self, surface: Plane, wide: bool = False) -> Image:
        """Return a frame of `surface`, uint8 or, if `wide`, uint16."""
        levels = surface * self.gain + self.dark + _NOISE_LEVELS * self._noisy()
        steps, kind = (256, np.uint16) if wide else (1, np.uint8)
        frame: Image = np.clip(np.rint(levels * steps), 0, np.iinfo(kind).max).astype(kind)
        return frame

    def mean_of(self, count: int, level: float, moving: bool = False, wide: bool = False) -> FrameMean:
        """Return the mean of so many frames of a sheet, or of a running strip."""
        mean = FrameMean(count)
        for _ in range(count):
            mean.add(self.expose(self.strip(level) if moving else self.sheet(level), wide))
        return mean

    def _noisy(self) -> Plane:
        height, width = self.shape
        down, right, which = self._rng.integers(0, (_MARGIN_PX, _MARGIN_PX, len(self._noise)))
        return self._noise[which][down : down + height, right : right + width]

    def _speck(self, rng: np.random.Generator) -> Plane:
        height, width = self.shape
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(2, 12)
        across, down = (np.arange(width) - x)[None] / radius, (np.arange(height) - y)[:, None] / radius
        return np.asarray(1 - rng.uniform(0.05, 0.3) * np.exp(-((across**2 + down**2) ** 2)), np.float32)
