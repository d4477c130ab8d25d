"""Make a flat field of dark and bright frames, and refuse frames that can't give one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.frame_mean import FrameMean
from shadowline.errors import CalibrationError

__all__ = ["FlatFieldFit", "fit_flat_field", "linearity_error"]

Plane = NDArray[np.float32]

_MOST_DARK_LEVEL: Final = 32.0
_MOST_LEAK_LEVELS: Final = 8.0  # from the darkest to the brightest part of a dark frame
_LEAST_BRIGHT_LEVELS: Final = 40.0
_MOST_SATURATED: Final = 0.001
_MOST_FLICKER: Final = 0.2
_MOST_DRIFT_LEVELS: Final = 1.0
_MOST_NOISE_LEVELS: Final = 1.0
_MOST_BROKEN: Final = 0.01
_DEAD: Final = 0.25  # of what the neighbourhood answers
_HOT_LEVELS: Final = 32.0
_AREA_PX: Final = 16
_NEIGHBOURS_PX: Final = 9


@dataclass(frozen=True, slots=True)
class FlatFieldFit:
    """What was made of the frames: `gain` (mean 1) and `dark` (8-bit levels), float32 H×W, one row for columns alone.

    `level` is the mean of the bright frames. `figures` are for the record.
    """

    gain: Plane
    dark: Plane
    level: float
    figures: dict[str, float]


def fit_flat_field(bright: FrameMean, dark: FrameMean | None = None, columns: bool = False) -> FlatFieldFit:
    """Return the flat field of the camera that took these frames.

    Without dark ones black is taken for 0. With `columns` all rows share one gain, as they do in a line-scan camera.
    Raises `CalibrationError` that says what is wrong with the frames and what to do.
    """
    halves = [_columns(half) if columns else half for half in bright.halves()]
    black = np.zeros_like(halves[0])
    if dark is not None:
        black = _mean(*dark.halves())
        black = _columns(black) if columns else black
        _check_dark(dark, black, halves[0])
    _check_bright(bright, float(black.mean()))
    first, second = (half - black for half in halves)
    light = _mean(first, second * np.float32(first.mean() / second.mean()))
    differ = second * np.float32(first.mean() / second.mean()) - first
    noise, drift = _rms(differ) / 2, _rms(_areas(differ)) / 2
    _check_certain(bright, noise, drift)
    hot, dead = _hot(black), _dead(light)
    broken = hot | dead
    if broken.mean() > _MOST_BROKEN:
        raise CalibrationError(
            f"{broken.mean():.1%} of the pixels are dead or hot (at most {_MOST_BROKEN:.0%}): "
            "the sensor is broken, or something covers part of the picture"
        )
    light, black = _repair(light, broken), _repair(black, broken)
    if not (np.isfinite(light).all() and np.isfinite(black).all()):
        raise CalibrationError(
            f"{_NEIGHBOURS_PX} and more dead or hot pixels in a row: the sensor or the lens is damaged"
        )
    mean = float(light.mean(dtype=np.float64))
    return FlatFieldFit(
        gain=light / np.float32(mean),
        dark=black,
        level=mean,
        figures={
            "bright_frames": bright.count,
            "dark_frames": dark.count if dark else 0,
            "level": mean,
            "dark_level": float(black.mean()),
            "dark_pattern_levels": float(black.std()),
            "uneven_levels": float(light.std()),
            "noise_levels": noise,
            "drift_levels": drift,
            "flicker": _flicker(bright),
            "saturated": bright.saturated,
            "dead_pixels": int(dead.sum()),
            "hot_pixels": int((hot & ~dead).sum()),
            "least_gain": float(light.min()) / mean,
            "greatest_gain": float(light.max()) / mean,
        },
    )


def linearity_error(levels: Mapping[float, float]) -> float:
    """Return how far mean levels by exposure lie off a straight line at most, as a part of their range.

    Raises `CalibrationError` for fewer than three exposures, or levels that do not rise with them.
    """
    exposures = np.array(sorted(levels))
    values = np.array([levels[exposure] for exposure in exposures])
    if len(exposures) < 3 or not (np.diff(values) > 0).all():
        told = ", ".join(f"{exposure:g}: {levels[exposure]:.1f}" for exposure in exposures)
        raise CalibrationError(
            f"linearity needs three exposures or more, each brighter than the one before, not {told}"
        )
    line = np.polynomial.Polynomial.fit(exposures, values, 1)
    return float(np.abs(values - line(exposures)).max() / (values[-1] - values[0]))


def _check_dark(dark: FrameMean, black: Plane, bright: Plane) -> None:
    if black.shape != bright.shape:
        raise CalibrationError(f"dark frames of {black.shape} and bright ones of {bright.shape}: take both alike")
    level, areas = float(black.mean()), _areas(black)
    if level > _MOST_DARK_LEVEL:
        raise CalibrationError(
            f"the dark frames are not dark: mean level {level:.0f} (at most {_MOST_DARK_LEVEL:.0f}): "
            "cover the lens, or lower BlackLevel"
        )
    if (leak := float(areas.max() - areas.min())) > _MOST_LEAK_LEVELS:
        raise CalibrationError(
            f"light falls into the dark frames: parts differ by {leak:.0f} levels (at most {_MOST_LEAK_LEVELS:.0f}): "
            "cover the lens well and switch the lamp off"
        )


def _check_bright(bright: FrameMean, black: float) -> None:
    level = float(np.mean(bright.levels)) - black
    if bright.saturated > _MOST_SATURATED:
        raise CalibrationError(
            f"{bright.saturated:.1%} of the bright frames is saturated (at most {_MOST_SATURATED:.1%}): "
            "shorten the exposure, or take gain or light away"
        )
    if level < _LEAST_BRIGHT_LEVELS:
        raise CalibrationError(
            f"the bright frames are too dim: {level:.0f} levels above the dark ones (at least "
            f"{_LEAST_BRIGHT_LEVELS:.0f}): more light, or a longer exposure"
        )
    if (flicker := _flicker(bright)) > _MOST_FLICKER:
        raise CalibrationError(
            f"the light changes by {flicker:.0%} from frame to frame (at most {_MOST_FLICKER:.0%}): "
            "let the lamp warm up and keep daylight out"
        )


def _check_certain(bright: FrameMean, noise: float, drift: float) -> None:
    if drift > _MOST_DRIFT_LEVELS:
        raise CalibrationError(
            f"the halves of the bright frames differ by {drift:.1f} levels over whole areas (at most "
            f"{_MOST_DRIFT_LEVELS:.0f}): the target or the light wanders; on a running strip, take more frames"
        )
    if noise > _MOST_NOISE_LEVELS:
        enough = int(bright.count * (noise / _MOST_NOISE_LEVELS) ** 2) + 1
        raise CalibrationError(
            f"{bright.count} bright frames are too few: they leave {noise:.1f} levels of noise and surface in a pixel "
            f"(at most {_MOST_NOISE_LEVELS:.0f}): take {enough} or more"
        )


def _flicker(frames: FrameMean) -> float:
    least, greatest = np.percentile(frames.levels, (5, 95))
    return float((greatest - least) / np.mean(frames.levels))


def _dead(light: Plane) -> NDArray[np.bool_]:
    """Return the pixels that answer far less or far more than the areas around them."""
    ratio = light / np.maximum(_around(light), 1.0)
    return np.asarray((ratio < _DEAD) | (ratio > 1 / _DEAD))


def _hot(black: Plane) -> NDArray[np.bool_]:
    return np.asarray(black - _around(black) > _HOT_LEVELS)


def _around(plane: Plane) -> Plane:
    """Return the median of the areas around each pixel: it does not know of a few dead columns."""
    median = cv2.medianBlur(_areas(plane), 5)
    return np.asarray(cv2.resize(median, plane.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _repair(plane: Plane, broken: NDArray[np.bool_]) -> Plane:
    """Put the mean of the sound neighbours in the place of broken pixels; where there are none, not a number."""
    if not broken.any():
        return plane
    sound = np.where(broken, 0, 1).astype(np.float32)
    size = (_NEIGHBOURS_PX, _NEIGHBOURS_PX)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = cv2.boxFilter(plane * sound, -1, size, normalize=False) / cv2.boxFilter(sound, -1, size, normalize=False)
    return np.where(broken, mean, plane).astype(np.float32)


def _areas(plane: Plane) -> Plane:
    height, width = plane.shape
    size = (max(width // _AREA_PX, 1), max(height // _AREA_PX, 1))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _columns(plane: Plane) -> Plane:
    return np.asarray(np.median(plane, axis=0, keepdims=True), np.float32)


def _mean(first: Plane, second: Plane) -> Plane:
    return np.asarray((first + second) / 2, np.float32)


def _rms(plane: Plane) -> float:
    return float(np.sqrt(np.mean(np.square(plane, dtype=np.float64))))
