"""The flat field of one camera: how strongly each pixel answers to even light. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import CalibrationError

__all__ = ["FlatField"]

_LEAST_GAIN, _GREATEST_GAIN = 1 / 16, 16.0
_BRIGHT: Final = 255.0


@dataclass(frozen=True, slots=True)
class FlatField:
    """`gain` is the answer of each pixel, float32 H×W, mean 1, read-only; 0.8 is a pixel that sees 20 % less light.

    With one row it holds for every row, as for a line-scan camera. `overlap_rows` is how many rows of the frame before
    may stand on top of a frame. Raises `CalibrationError` for a gain that no working camera has.
    """

    gain: NDArray[np.float32]
    overlap_rows: int = 0

    def __post_init__(self) -> None:
        gain = self.gain
        if gain.ndim != 2 or gain.size == 0 or gain.dtype.kind != "f":
            raise CalibrationError(f"a flat field is a picture of float32, not {gain.dtype} of shape {gain.shape}")
        mean = float(gain.mean(dtype=np.float64))
        if not np.isfinite(gain).all() or mean <= 0:
            raise CalibrationError("the flat field holds pixels that are not finite, or no light at all: take it again")
        gain = np.ascontiguousarray(gain / mean, np.float32)
        if gain.min() < _LEAST_GAIN or gain.max() > _GREATEST_GAIN:
            raise CalibrationError(
                f"the flat field's gain runs from {gain.min():.3g} to {gain.max():.3g}, beyond "
                f"{_LEAST_GAIN:g} to {_GREATEST_GAIN:g}: dead pixels or a covered lens, take it again"
            )
        gain.flags.writeable = False
        object.__setattr__(self, "gain", gain)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], level: float, overlap_rows: int = 0) -> "FlatField":
        """Return the flat field that `gain` and `dark` (8-bit levels) of a calibration are at the grey level `level`.

        What a pixel shows in the dark counts as part of its answer: exact at `level`, and off by a fifth of the dark
        pattern where the surface is a fifth brighter. So a frame's limits need no second picture.
        """
        try:
            gain, dark = arrays["gain"], arrays["dark"]
        except KeyError as error:
            raise CalibrationError(f"a flat field without {error}: take it again") from None
        if gain.shape != dark.shape or not 0 < level <= _BRIGHT:
            raise CalibrationError(
                f"a flat field of {gain.shape} with dark {dark.shape} at level {level:g}: take it again"
            )
        return cls(gain * np.float32(level) + dark, overlap_rows)

    def over(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return the gain for frames of `shape` (rows, columns). Raises `CalibrationError` for another's shape."""
        rows, columns = self.gain.shape
        height, width = shape
        above = height - rows
        if width != columns or (rows > 1 and not 0 <= above <= self.overlap_rows):
            raise CalibrationError(
                f"the flat field is {columns}×{rows} px and the frame {width}×{height} px: "
                "calibrate at the size the camera delivers"
            )
        if rows == 1:
            return np.repeat(self.gain, height, 0)
        return np.concatenate([self.gain[rows - above :], self.gain]) if above else self.gain
