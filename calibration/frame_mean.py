"""The mean of a stream of frames, pixel by pixel and robust to what passes by. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import CalibrationError

__all__ = ["FrameMean", "Image"]

Image = NDArray[np.uint8] | NDArray[np.uint16]

_LEVEL: Final = 256
"""Steps of a uint16 frame to an 8-bit grey level."""
_SATURATED: Final = 0.99  # of full scale: 10 and 12 bits shifted up to 16 end a little below it
_MOST_TRIMMED: Final = 8
_MOST_FRAMES: Final = 65_536  # a sum of so many uint16 fits into uint32


class FrameMean:
    """Mean without the least and the greatest values of each pixel, so that a passing defect leaves no trace.

    The first and the second half of the `expected` frames are kept apart: where they differ, the target or the light
    changed. The memory is at most 40 frames, however many come. All levels are those of 8 bits, also for uint16.
    """

    def __init__(self, expected: int) -> None:
        if not 2 <= expected <= _MOST_FRAMES:
            raise CalibrationError(f"{expected} frames: take 2 to {_MOST_FRAMES}")
        self.levels: list[float] = []
        """Mean level of each frame."""
        self.first: Image
        """The first frame, a copy."""
        self.saturated = 0.0
        """Part of all pixels of all frames at the top of the scale."""
        self._expected = expected
        self._halves: list[_TrimmedMean] = []

    @property
    def count(self) -> int:
        """Frames so far."""
        return len(self.levels)

    def add(self, image: Image) -> None:
        """Take a frame, H×W. Raises `CalibrationError` for another size or pixel type than the first's."""
        if not self.levels:
            trimmed = max(1, min(self._expected // 16, _MOST_TRIMMED))
            self._halves = [_TrimmedMean(image, trimmed), _TrimmedMean(image, trimmed)]
            self.first = image.copy()
        first = self.first
        if (image.shape, image.dtype) != (first.shape, first.dtype):
            raise CalibrationError(
                f"frame {self.count + 1} is {image.shape[1]}×{image.shape[0]} {image.dtype}, those before it "
                f"{first.shape[1]}×{first.shape[0]} {first.dtype}: take all with the same settings"
            )
        top = np.iinfo(image.dtype).max * _SATURATED
        self.saturated += (float((image >= top).mean()) - self.saturated) / (self.count + 1)
        self._halves[min(self.count * 2 // self._expected, 1)].add(image)
        self.levels.append(float(image.mean()) / self._halves[0].steps)

    def halves(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the means of both halves, float32 H×W, new arrays. Raises `CalibrationError` for too few frames."""
        if not self._halves or min(half.count for half in self._halves) <= self._halves[0].least:
            raise CalibrationError(f"{self.count} frames came, of {self._expected}: take them again")
        return self._halves[0].mean(), self._halves[1].mean()


class _TrimmedMean:
    """Sum of the frames, and the `trimmed` least and greatest values of each pixel, in order."""

    def __init__(self, like: Image, trimmed: int) -> None:
        self.steps = 1 if like.dtype == np.uint8 else _LEVEL
        self.least = 2 * trimmed
        self.count = 0
        self._sum = np.zeros(like.shape, np.uint32)
        self._low = [np.full_like(like, np.iinfo(like.dtype).max) for _ in range(trimmed)]
        self._high = [np.zeros_like(like) for _ in range(trimmed)]
        self._value, self._spare = np.empty_like(like), np.empty_like(like)

    def add(self, image: Image) -> None:
        self.count += 1
        np.add(self._sum, image, out=self._sum)
        self._sort_in(image, self._low, np.minimum, np.maximum)
        self._sort_in(image, self._high, np.maximum, np.minimum)

    def mean(self) -> NDArray[np.float32]:
        kept = self._sum.astype(np.int64)
        for extreme in (*self._low, *self._high):
            kept -= extreme
        return (kept / ((self.count - self.least) * self.steps)).astype(np.float32)

    def _sort_in(self, image: Image, kept: list[Image], outer: np.ufunc, inner: np.ufunc) -> None:
        """Put each pixel in its place among those kept; what is pushed out last is lost."""
        np.copyto(self._value, image)
        for place, there in enumerate(kept):
            outer(there, self._value, out=self._spare)
            inner(there, self._value, out=self._value)
            kept[place], self._spare = self._spare, there
