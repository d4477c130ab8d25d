"""The choice of a limit from counted false regions, and how sure the rate is that they tell. Pure."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import CalibrationError

__all__ = ["LEAST_COUNT", "Choice", "Counts", "choose", "clustering", "poisson_interval", "suspects"]

LEAST_COUNT: Final = 10
"""False regions that must be counted at the asked rate: ten tell it within a factor of two."""
_Z: Final = 1.96
"""Of 95 % confidence."""
_LEAP: Final = 4.0
"""Times fewer at one limit than at the one before, which only whole grey levels explain where limits are close."""
_BLOCKS: Final = 20
_CHANCE: Final = 0.01
"""Of a set of sound frames to have one that is taken for defective."""
_GUMBEL_QUARTILES: Final = 1.573
_LEAST_SPREAD: Final = 0.15
"""Of the median: what the steps between the tried limits leave unknown of the spread."""


@dataclass(frozen=True, slots=True)
class Counts:
    """False regions as they were counted in n frames, at s limits from loose to strict, in z zones across.

    `sigmas` float64 [s]; `found` int64 [s,n,z]; `amount` float64 [n] is what each frame counts for: metres, or 1.
    """

    sigmas: NDArray[np.float64]
    found: NDArray[np.int64]
    amount: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_]) -> "Counts":
        """Return the counts of the frames that `keep` [n] chooses."""
        return Counts(self.sigmas, self.found[:, keep], self.amount[keep])

    def rates(self) -> NDArray[np.float64]:
        """Return rate, lower and upper bound for each limit, all zones together: float64 [s,3]."""
        total = self.amount.sum()
        rows = []
        for found in self.found.sum(2):
            spread = clustering(found)
            low, high = poisson_interval(found.sum() / spread)
            rows.append((found.sum() / total, low * spread / total, high * spread / total))
        return np.array(rows, np.float64)


@dataclass(frozen=True, slots=True)
class Choice:
    """The limit of each zone, and the rate of all together that is to be expected: with 95 %, `low` to `high`.

    `rate` is the asked one, or less where counts leap from above it to below. `clustering` is how many times more they
    vary than those of a Poisson process.
    """

    sigmas: tuple[float, ...]
    rate: float
    low: float
    high: float
    clustering: float


def poisson_interval(count: float) -> tuple[float, float]:
    """Return the 95 % interval of the mean of a Poisson process that was seen to count `count`.

    Byar's approximation (Breslow and Day 1987, p. 69): within 1 % of the exact one from five on, and wider below.
    """
    low = count * max(1 - 1 / (9 * count) - _Z / (3 * math.sqrt(count)), 0.0) ** 3 if count > 0 else 0.0
    above = count + 1
    return low, above * (1 - 1 / (9 * above) + _Z / (3 * math.sqrt(above))) ** 3


def clustering(found: NDArray[np.int64]) -> float:
    """Return variance over mean of `found` [n] in up to 20 runs of frames; 1 where they vary by chance or less.

    Regions that come in crowds, a coil that is worse than others, tell less than as many single ones.
    """
    if found.sum() == 0 or len(found) < 2:
        return 1.0
    blocks = np.array_split(found, min(_BLOCKS, len(found)))
    sums = np.array([block.sum() for block in blocks], np.float64)
    expected = found.mean() * np.array([len(block) for block in blocks])
    return max(1.0, float(((sums - expected) ** 2 / expected).sum() / (len(blocks) - 1)))


def suspects(strengths: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which frames look defective, bool [n], from the strictest limit at which each still shows a region [n].

    The greatest of much noise follows Gumbel's law; median and quartiles give it, so that a few defects don't.
    """
    if len(strengths) == 0:
        return np.zeros(0, np.bool_)
    first, middle, third = np.percentile(strengths, (25, 50, 75))
    spread = max((third - first) / _GUMBEL_QUARTILES, _LEAST_SPREAD * middle)
    most = middle + spread * (math.log(math.log(2)) + math.log(len(strengths) / _CHANCE))
    return np.asarray(strengths > most)


def choose(counts: Counts, rate: float, unit: str) -> Choice:
    """Return the limit of each zone at which all of them together find `rate` false regions a `unit`.

    Every zone gets the same share. Raises `CalibrationError` where that was not counted: too few frames, with how
    many are needed, or a rate beyond those of the tried limits.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise CalibrationError(f"{rate:g} false regions a {unit} can't be asked for: give a number above 0")
    frames, zones = counts.found.shape[1:]
    amount = float(counts.amount.sum())
    share = rate * amount / zones
    chosen = [_choose_zone(counts, zone, share, unit) for zone in range(zones)]
    spread = max(one.spread for one in chosen)
    if share < LEAST_COUNT * spread:
        needed = math.ceil(frames * LEAST_COUNT * spread / share)
        crowds = f"; they come in crowds, so that {spread:.1f} count as one" if spread > 1.5 else ""
        each = " in each zone" if zones > 1 else ""
        raise CalibrationError(
            f"{frames} frames are too few for {rate:g} false regions a {unit}: about {share:.3g} would be counted"
            f"{each}, {LEAST_COUNT * spread:.0f} are needed{crowds}: take {needed} frames, or ask for more"
        )
    expected = sum(one.expected for one in chosen)
    low, high = poisson_interval(expected / spread)
    return Choice(
        tuple(one.sigma for one in chosen), expected / amount, low * spread / amount, high * spread / amount, spread
    )


@dataclass(frozen=True, slots=True)
class _Zone:
    """The limit of one zone, what it would have counted, and the clustering there."""

    sigma: float
    expected: float
    spread: float


def _choose_zone(counts: Counts, zone: int, wanted: float, unit: str) -> _Zone:
    """Return the limit at which the zone counts `wanted`: seen from the strict side, the first.

    Counts fall exponentially between two limits, unless they leap: then it is the stricter of the two.
    """
    totals = counts.found[:, :, zone].sum(1)
    above = np.flatnonzero(totals > wanted)
    where = "" if counts.found.shape[2] == 1 else f" in zone {zone + 1}"
    if len(above) == 0:
        raise CalibrationError(
            f"at the loosest limit there are only {totals.max() / counts.amount.sum():.3g} false regions a {unit}"
            f"{where}: the floor of offset_levels and contrast decides, not the noise; lower these, or ask for fewer"
        )
    last = int(above[-1])
    if last == len(totals) - 1:
        raise CalibrationError(
            f"at the strictest limit there are still {totals[last] / counts.amount.sum():.3g} false regions a {unit}"
            f"{where}: take a flat field, raise min_area_px, or leave out what is no sound surface"
        )
    before, after = float(totals[last]), max(float(totals[last + 1]), 0.5)
    spread = clustering(counts.found[last, :, zone])
    if before / after > _LEAP:
        return _Zone(round(float(counts.sigmas[last + 1]), 3), float(totals[last + 1]), spread)
    part = math.log(before / wanted) / math.log(before / after)
    sigma = counts.sigmas[last] + part * (counts.sigmas[last + 1] - counts.sigmas[last])
    return _Zone(round(float(sigma), 3), wanted, spread)
