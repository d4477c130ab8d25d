"""What a camera was when all was well: taken from frames, kept as a calibration record. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from calibration.frame_mean import Image
from calibration.health_measures import CELLS, DARK_LEVELS, Meter, Sample, eight_bit, middle, middle_picture, spread
from calibration.health_spots import Spots
from shadowline.errors import CalibrationError

__all__ = ["Baseline", "take_baseline"]

_LEAST_SAMPLES: Final = 16
_BRIGHT_LEVELS: Final = 250.0
_LEAST_SPREAD: Final = 0.1
_NOTHING: Final = np.empty((0, 0), np.float32)
_NUMBERS: Final = (
    *("level", "noise_offset", "noise_slope"),
    *("focus", "focus_spread", "turn_deg", "turn_spread_deg", "converge_deg", "converge_spread_deg"),
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a camera was when all was well. `still` tells a plate from a strip in motion.

    What the surface does not tell is nan; a spread is the standard deviation from frame to frame. Noise variance is
    `noise_offset` + `noise_slope` × level (photon transfer). `shape` float32 [16,16] is the light with mean 1, `dirt`
    float32 [H/4,W/4] the map of what does not move, `dead` int32 [n,2] x, y of the dead pixels.
    """

    size_px: tuple[int, int]
    still: bool
    level: float
    noise_offset: float
    noise_slope: float
    focus: float
    focus_spread: float
    turn_deg: float
    turn_spread_deg: float
    converge_deg: float
    converge_spread_deg: float
    shape: NDArray[np.float32]
    dirt: NDArray[np.float32]
    dead: NDArray[np.int32]

    @property
    def figures(self) -> dict[str, float]:
        """The numbers, for a calibration record; without those that the surface did not tell."""
        numbers = {name: float(getattr(self, name)) for name in _NUMBERS}
        return {name: value for name, value in numbers.items() if math.isfinite(value)} | {"still": float(self.still)}

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, for a calibration record."""
        return {"shape": self.shape, "dirt": self.dirt.astype(np.float16), "dead": self.dead}

    @classmethod
    def of(cls, figures: Mapping[str, float], arrays: Mapping[str, NDArray[Any]], size_px: tuple[int, int]) -> Self:
        """Return what `figures` and `arrays` were. Raises `CalibrationError` for any that do not fit."""
        try:
            shape, dirt, dead = (arrays[name] for name in ("shape", "dirt", "dead"))
            numbers = {name: figures.get(name, math.nan) for name in _NUMBERS}
            still = bool(figures["still"])
        except KeyError as error:
            raise CalibrationError(f"the baseline lacks {error}: take it again with --baseline") from None
        sound = shape.shape == CELLS and dirt.shape == (size_px[1] // 4, size_px[0] // 4) and dead.shape[1:] == (2,)
        if not sound or not (np.isfinite(shape).all() and np.isfinite(dirt).all()) or not shape.min() > 0:
            raise CalibrationError("the baseline's arrays are damaged: take it again with --baseline")
        if not (numbers["level"] > 0 and numbers["noise_offset"] + numbers["noise_slope"] > 0):
            raise CalibrationError("the baseline's figures are damaged: take it again with --baseline")
        dirt, dead = dirt.astype(np.float32), dead.astype(np.int32)
        return cls(size_px, still, shape=shape.astype(np.float32), dirt=dirt, dead=dead, **numbers)


def take_baseline(images: Iterable[Image]) -> Baseline:
    """Measure a strip in motion or a plate that lies still: 16 frames or more, 60 for a quiet baseline.

    Raises `CalibrationError` for frames that are no baseline, saying why.
    """
    meter: Meter | None = None
    spots: Spots | None = None
    samples: list[Sample] = []
    for image in images:
        if meter is None or spots is None:
            shape = (image.shape[0], image.shape[1])
            meter, spots = Meter(shape), Spots(shape, follow=0)
            meter.measure(eight_bit(image, shape))  # a standstill shows from the second on
            continue
        picture = eight_bit(image, shape)
        sample = meter.measure(picture)
        samples.append(replace(sample, relative=_NOTHING))
        if not sample.still:
            spots.add(picture, sample.relative, sample.level)
    if spots is None or len(samples) < _LEAST_SAMPLES:
        raise CalibrationError(
            f"a baseline needs {_LEAST_SAMPLES + 1} frames or more, not {len(samples) + (spots is not None)}"
        )
    return _baseline_of(samples, spots, shape)


def _baseline_of(samples: Sequence[Sample], spots: Spots, shape: tuple[int, int]) -> Baseline:
    still = sum(sample.still for sample in samples)
    if 0 < still < len(samples):
        raise CalibrationError(
            f"the surface stood still in {still} of {len(samples)} frames: let the strip run all the while, or take a"
            " plate that lies still"
        )
    level = middle([sample.level for sample in samples])
    if not DARK_LEVELS < level < _BRIGHT_LEVELS:
        raise CalibrationError(f"the mean level is {level:.0f} of 255: set exposure and light first")
    light = middle_picture([sample.light / sample.level for sample in samples])
    offset, slope = _photon_transfer(samples)
    focus, turn, converge = zip(*((one.focus, one.turn_deg, one.converge_deg) for one in samples), strict=True)
    return Baseline(
        size_px=(shape[1], shape[0]),
        still=bool(still),
        level=level,
        noise_offset=offset,
        noise_slope=slope,
        focus=middle(focus),
        focus_spread=spread(focus),
        turn_deg=middle(turn),
        turn_spread_deg=spread(turn),
        converge_deg=middle(converge),
        converge_spread_deg=spread(converge),
        shape=light / light.mean(),
        dirt=spots.map,
        dead=np.empty((0, 2), np.int32) if spots.dead is None else spots.dead,
    )


def _photon_transfer(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return offset and slope of noise variance over level, from patches of different light; neither is negative.

    Where the light is too even to tell them apart all noise is taken for shot noise.
    """
    levels = np.median([sample.levels for sample in samples], axis=0).astype(np.float64)
    variances = np.maximum(np.median([sample.variances for sample in samples], axis=0), 1e-3).astype(np.float64)
    middle = float(np.median(variances))
    if np.ptp(levels) < _LEAST_SPREAD * levels.mean():
        return 0.0, middle / float(levels.mean())
    slope = float(np.polyfit(levels, variances, 1)[0])
    slope = min(max(slope, 0.0), middle / float(np.median(levels)))
    return middle - slope * float(np.median(levels)), slope
