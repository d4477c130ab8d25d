"""Judges optical health: measures against those of a baseline, each with limits that must be crossed to stay. Pure."""

import math
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.frame_mean import Image
from calibration.health_baseline import Baseline
from calibration.health_limits import HealthLimits
from calibration.health_measures import DARK_LEVELS, Meter, Sample, eight_bit, middle, middle_picture
from calibration.health_spots import Spots
from calibration.health_trend import Trend

__all__ = ["Figure", "Finding", "OpticalHealth"]

_WINDOW: Final = 15
_LIGHT_WINDOW: Final = 24
"""Samples for the shape of the light: the surface's own clouds are as large as it and need more to even out."""
_LEAST_SAMPLES: Final = 10
_CONFIRM: Final = 3
_SIGMAS: Final = 5.0
_LEAST_VARIANCE: Final = 1e-3
_AGAIN_WELL: Final = 0.8
"""A finding ends when its value is back within this part of the way from the baseline to the limit."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure now, and the limits that it must keep; `nominal` is that of an unchanged station."""

    words: str
    """For people, with {} where the value stands."""
    unit: str
    value: float
    low: float
    high: float
    nominal: float

    def __str__(self) -> str:
        return self.words.format(self._tell(self.value))

    @property
    def limit(self) -> float:
        """The limit that is crossed, or the one on the value's side."""
        if math.isinf(self.low) or (self.value > self.nominal and not math.isinf(self.high)):
            return self.high
        return self.low

    @property
    def told(self) -> str:
        """The value and its limit, as `lamp 88 % of its baseline (limit 92 %)`."""
        return f"{self} (limit {self._tell(self.limit)})"

    def within(self, part: float = 1.0) -> bool:
        """Whether the value is within `part` of the way to the limits."""
        low, high = (self.nominal + part * (limit - self.nominal) for limit in (self.low, self.high))
        return low <= self.value <= high

    def _tell(self, value: float) -> str:
        digits = 2 if self.unit == "°" else 0 if self.unit == "" or abs(value) >= 20 else 1
        return f"{value:.{digits}f}{self.unit}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A limit that is crossed since `since_ns`; `over` when it no longer is."""

    name: str
    value: float
    limit: float
    since_ns: int
    text: str
    """As `lamp 88 % of its baseline (limit 92 %)`."""
    over: bool = False


class OpticalHealth:
    """Watches one camera, sample by sample. A figure is the mean of the middle half of the last 15 samples.

    A limit must be crossed in three samples running to be a finding, and a finding ends when its value was clearly
    within in three. Samples of a strip that stands (or, with a plate's baseline, of one that moves) are passed over.
    """

    def __init__(self, baseline: Baseline, limits: HealthLimits) -> None:
        self.figures: dict[str, Figure] = {}
        """What is known by now, by name."""
        self.samples = 0
        """Samples that were judged."""
        self._baseline = baseline
        self._limits = limits
        shape = baseline.size_px[::-1]
        self._shape = shape
        self._meter = Meter(shape)
        self._spots = Spots(shape)
        self._trend = Trend()
        self._recent: dict[str, deque[float]] = {}
        self._light: deque[NDArray[np.float32]] = deque(maxlen=_LIGHT_WINDOW)
        self._crossed: dict[str, Finding] = {}
        self._streaks: Counter[str] = Counter()
        self._meter_has_seen = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The limits that are crossed, in the order they were."""
        return tuple(self._crossed.values())

    def observe(self, image: Image, tick_ns: int) -> list[Finding]:
        """Take a sample, uint8 or uint16 [H,W], and return what changed: new findings, and old ones that are over.

        Raises `CalibrationError` for a frame of another size than the baseline's.
        """
        picture = eight_bit(image, self._shape)
        sample = self._meter.measure(picture)
        seen, self._meter_has_seen = self._meter_has_seen, True
        dark = sample.level < DARK_LEVELS
        if not seen or (sample.still != self._baseline.still and not dark):
            return []
        self.samples += 1
        self._recent.setdefault("level", deque(maxlen=_WINDOW)).append(sample.level)
        if not dark:
            self._keep(sample)
        if not (dark or sample.still):
            self._spots.add(picture, sample.relative, sample.level)
        if self.samples < _LEAST_SAMPLES:
            return []
        percent = 100 * middle(self._recent["level"]) / self._baseline.level
        self._trend.add(percent, tick_ns)
        self.figures = dict(self._measure(percent))
        return [finding for name, figure in self.figures.items() if (finding := self._judge(name, figure, tick_ns))]

    def _keep(self, sample: Sample) -> None:
        expected = self._baseline.noise_offset + self._baseline.noise_slope * sample.levels
        values = {
            "focus": 0.0 if math.isnan(sample.focus) else sample.focus,  # no texture left: out of focus
            "turn": sample.turn_deg,
            "converge": sample.converge_deg,
            "noise": float(np.median(sample.variances / np.maximum(expected, _LEAST_VARIANCE))) ** 0.5,
        }
        for name, value in values.items():
            if math.isfinite(value):
                self._recent.setdefault(name, deque(maxlen=_WINDOW)).append(value)
        self._light.append(sample.light / sample.level)

    def _measure(self, percent: float) -> Iterator[tuple[str, Figure]]:
        """Yield the figures by name, those that the surface and the time so far allow."""
        base, limits = self._baseline, self._limits
        yield (
            "lamp",
            Figure("lamp {} of its baseline", " %", percent, limits.lamp_percent, limits.lamp_most_percent, 100),
        )
        if percent * base.level / 100 < DARK_LEVELS:
            return
        if self._trend.loss_percent is not None:
            yield "ageing", _most("lamp loses {} in 1000 h", " %", self._trend.loss_percent, limits.ageing_percent)
        if len(self._light) >= _WINDOW:
            lean, uneven = _change_of_light(middle_picture(self._light) / base.shape)
            yield "lean", _most("light leans by {} from edge to edge", " %", lean, limits.lean_percent)
            yield "uneven", _most("light changed by {} from place to place", " %", uneven, limits.uneven_percent)
        if math.isfinite(base.focus):
            focus = 100 * middle(self._recent["focus"]) / base.focus
            least = min(limits.focus_percent, 100 - 100 * _quiet(base.focus_spread) / base.focus)
            yield "focus", Figure("focus {} of its baseline", " %", focus, max(least, 0), math.inf, 100)
        noise = 100 * middle(self._recent["noise"])
        yield "noise", Figure("noise {} of its baseline", " %", noise, -math.inf, limits.noise_percent, 100)
        if {"focus", "noise"}.isdisjoint(self._crossed):
            yield from self._measure_direction()
        yield from self._measure_spots()

    def _measure_direction(self) -> Iterator[tuple[str, Figure]]:
        """Yield how the picture lies, which only a texture tells that is seen as well as in the baseline."""
        base, limits = self._baseline, self._limits
        if math.isnan(base.turn_deg) or "turn" not in self._recent:
            return
        turn = abs(middle(self._recent["turn"]) - base.turn_deg)
        most = max(limits.turn_deg, _quiet(base.turn_spread_deg))
        yield "turn", _most("picture turned by {}", "°", turn, most)
        converge = abs(middle(self._recent["converge"]) - base.converge_deg)
        most = max(limits.converge_deg, _quiet(base.converge_spread_deg))
        yield "converge", _most("rolling direction converges by {}", "°", converge, most)

    def _measure_spots(self) -> Iterator[tuple[str, Figure]]:
        dirt = self._spots.dirt(self._baseline.dirt, self._limits.dirt_depth_percent / 100)
        if dirt is None:
            return
        where = f", {dirt[0].width_px} px wide at x {dirt[0].x_px}, y {dirt[0].y_px}" if dirt else ""
        yield "dirt", _most(f"spots of dirt: {{}}{where}", "", len(dirt), self._limits.dirt_spots)
        dead = self._spots.dead_beyond(self._baseline.dead, dirt)
        if dead is not None:
            yield "dead", _most("dead pixels: {} more", "", dead, self._limits.dead_px)

    def _judge(self, name: str, figure: Figure, tick_ns: int) -> Finding | None:
        before = self._crossed.get(name)
        changes = figure.within(_AGAIN_WELL) if before else not figure.within()
        self._streaks[name] = self._streaks[name] + 1 if changes else 0
        since_ns = before.since_ns if before else tick_ns
        now = Finding(name, figure.value, figure.limit, since_ns, figure.told)
        if self._streaks[name] < _CONFIRM:
            if before:
                self._crossed[name] = now
            return None
        self._streaks[name] = 0
        if before:
            del self._crossed[name]
            return replace(now, over=True)
        self._crossed[name] = now
        return now


def _most(words: str, unit: str, value: float, limit: float) -> Figure:
    return Figure(words, unit, value, -math.inf, limit, 0)


def _quiet(spread: float) -> float:
    """Return what a mean over the window does not leave by chance: a surface that tells little has wider limits."""
    return _SIGMAS * spread / _WINDOW**0.5 if math.isfinite(spread) else 0.0


def _change_of_light(ratio: NDArray[np.float32]) -> tuple[float, float]:
    """Return the lean of `ratio` from edge to edge, and what else it spans, both in per cent."""
    rows, columns = (np.linspace(-0.5, 0.5, length) for length in ratio.shape)
    ratio = ratio / ratio.mean()
    along = float(rows @ ratio.mean(axis=1) / (rows @ rows))
    across = float(columns @ ratio.mean(axis=0) / (columns @ columns))
    rest = (ratio - along * rows[:, None] - across * columns).astype(np.float32)
    spanned = np.ptp(cv2.medianBlur(cv2.blur(rest, (3, 3)), 3))  # a defect fills a cell, what fails of a lamp more
    return 100 * max(abs(along), abs(across)), 100 * float(spanned)
