"""The flat field of one camera: how strongly each pixel answers to even light, and its file. Pure."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import CalibrationError

__all__ = ["FlatField", "load_flat_field", "save_flat_field"]

_SCHEMA_VERSION: Final = 1
_LEAST_GAIN, _GREATEST_GAIN = 1 / 16, 16.0


@dataclass(frozen=True, slots=True)
class FlatField:
    """`gain` is the answer of each pixel, float32 H×W, mean 1, read-only; 0.8 is a pixel that sees 20 % less light.

    `camera` and `lens` say whose it is. Raises `CalibrationError` for a gain that no working camera has.
    """

    gain: NDArray[np.float32]
    camera: str = ""
    lens: str = ""

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


def save_flat_field(flat_field: FlatField, path: Path) -> None:
    """Write `flat_field` as .npz. Raises `CalibrationError` when `path` can't be written."""
    try:
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                schema_version=np.int64(_SCHEMA_VERSION),
                gain=flat_field.gain,
                camera=np.str_(flat_field.camera),
                lens=np.str_(flat_field.lens),
            )
    except OSError as error:
        raise CalibrationError(f"{path}: can't write the flat field: {error.strerror}") from error


def load_flat_field(path: Path) -> FlatField:
    """Read what `save_flat_field` wrote; never a pickle. Raises `CalibrationError` for any fault of the file."""
    try:
        with path.open("rb") as stream:  # our own: numpy leaves a damaged file open
            return _read(np.load(stream, allow_pickle=False))
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None
    except OSError as error:
        raise CalibrationError(f"{path}: can't read the flat field: {error.strerror or error}") from None
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CalibrationError(f"{path}: damaged or not a flat field: {_first_line(error)}") from None


def _read(content: object) -> FlatField:
    if not isinstance(content, np.lib.npyio.NpzFile):
        raise CalibrationError("not a flat field (.npz)")
    version = int(content["schema_version"])
    if version != _SCHEMA_VERSION:
        raise CalibrationError(f"flat field of schema {version}, this station reads {_SCHEMA_VERSION}: take it again")
    return FlatField(content["gain"], str(content["camera"]), str(content["lens"]))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
