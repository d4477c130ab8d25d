"""Chains of defects that follow on each other at one distance, and how likely chance makes them. Pure.

The bound is the expected number of chains as good among defects that lie at random with the density found around them:
a link of window `w` mm from a mark in a lane of `r` other defects a mm has `w r` random ends. A chain has the product
of those, times the number of defects it may begin with, of lengths it may have and of distances that were tried.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_MARKS", "Chain", "Marks", "window_mm"]

LEAST_MARKS = 5
"""A chain has so many at least."""

_JITTER_MM = 3.0  # of one distance between two marks: where a region is found to begin and end
_SLIP = 0.005  # of a distance, from turn to turn
_TURNS = {1: 0.85, 2: 0.12, 3: 0.03}  # how a chain goes on after so many turns; the sum must be 1
_AROUND_MM = (5000.0, 1000.0, 200.0)  # the density of defects is the greatest of those of so much to both sides
_FRAGMENT_MM = 30.0  # so near to a mark of a chain, a defect is a part of the mark
_MOST_PAIRS = 6_000_000


@dataclass(frozen=True, slots=True)
class Chain:
    """Marks in order, the turns between them, and the logarithm of the bound of its false alarm."""

    marks: tuple[int, ...]
    turns: tuple[int, ...]
    log_alarm: float


def window_mm(distance: float, turns: int) -> float:
    """Return how far a mark may be from where it is expected after so many turns."""
    return _JITTER_MM + _SLIP * distance * turns


class Marks:
    """Defects in order along the strip, and the pairs of them that share a lane."""

    def __init__(
        self, along: NDArray[np.float64], across: NDArray[np.float64], lane: float, distances: list[float]
    ) -> None:
        self.along, self.across, self.distances = along, across, distances
        reach = max(_AROUND_MM[0], max(_TURNS) * distances[-1] + window_mm(distances[-1], max(_TURNS)))
        first, second = _pairs(along, across, lane, reach)
        apart = along[second] - along[first]
        order = np.argsort(apart)
        self._first, self._second, self._apart = first[order], second[order], apart[order]
        self._around = np.stack([self._count_around(reach) for reach in _AROUND_MM])
        self._length = np.stack([self._length_around(reach) for reach in _AROUND_MM])
        self._log_density = np.log(self._density(np.arange(len(along))))
        self._used = np.zeros(len(along), bool)
        self._log_looks = math.log(len(distances)) + math.log(len(along))

    def distance(self, chain: Chain) -> float:
        """Return the mean distance of a chain's marks."""
        return float(self.along[chain.marks[-1]] - self.along[chain.marks[0]]) / sum(chain.turns)

    def use(self, chain: Chain) -> None:
        """Take the marks of `chain`, and the fragments beside them, out of all further search."""
        members = np.zeros(len(self.along), bool)
        members[list(chain.marks)] = True
        beside = slice(int(np.searchsorted(self._apart, _FRAGMENT_MM)))
        first, second = self._first[beside], self._second[beside]
        self._used |= members
        self._used[second[members[first]]] = True
        self._used[first[members[second]]] = True

    def chain(self, distance: float) -> Chain | None:
        """Return the best chain of a distance; None where none has marks enough."""
        first, second, turns, gain = self._links(distance)
        if len(first) < LEAST_MARKS - 1 or not np.isin(first, second).any():
            return None
        best: dict[int, float] = {}
        before: dict[int, tuple[int, int]] = {}
        for i, j, turn, more in zip(first.tolist(), second.tolist(), turns.tolist(), gain.tolist(), strict=True):
            total = best.get(i, 0.0) + more
            if total > best.get(j, 0.0):
                best[j], before[j] = total, (i, turn)
        mark = max(best, key=best.__getitem__)
        marks, passed = [mark], []
        while mark in before:
            mark, turn = before[mark]
            marks.append(mark)
            passed.append(turn)
        if len(marks) < LEAST_MARKS:
            return None
        return self._rate(tuple(marks[::-1]), tuple(passed[::-1]), distance)

    def _links(
        self, distance: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return first and second mark, turns and gain of each link of a distance, by first mark.

        The gain is the logarithm of how much rarer such a link is at random; links that say nothing are left out.
        """
        parts, turns = [], []
        for turn in _TURNS:
            window = window_mm(distance, turn)
            low, high = np.searchsorted(self._apart, [turn * distance - window, turn * distance + window])
            parts.append(np.arange(low, high))
            turns.append(np.full(high - low, turn))
        pairs, turned = np.concatenate(parts), np.concatenate(turns)
        free = ~(self._used[self._first[pairs]] | self._used[self._second[pairs]])
        pairs, turned = pairs[free], turned[free]
        first = self._first[pairs]
        gain = self._gain(distance, turned) - self._log_density[first]
        worth = np.flatnonzero(gain > 0)
        worth = worth[np.argsort(first[worth], kind="stable")]
        return first[worth], self._second[pairs[worth]], turned[worth], gain[worth]

    def _count_around(self, reach: float) -> NDArray[np.int64]:
        """Return how many others are near each mark in its lane."""
        near, count = slice(int(np.searchsorted(self._apart, reach))), len(self.along)
        ahead = np.bincount(self._first[near], minlength=count)
        return np.asarray(ahead + np.bincount(self._second[near], minlength=count), np.int64)

    def _length_around(self, reach: float) -> NDArray[np.float64]:
        """Return the millimetres that were looked at around each mark; less at the ends of the coil."""
        ends = np.clip(self.along[:, None] + np.array([-reach, reach]), self.along[0], self.along[-1])
        return np.asarray(np.maximum(ends[:, 1] - ends[:, 0], reach), np.float64)

    def _density(self, rows: NDArray[np.int64], own: NDArray[np.int64] | int = 0) -> NDArray[np.float64]:
        """Return defects a millimetre of lane around marks, `own` [scale,row] of them not counted.

        One more is counted over the greatest length, so that an empty lane is not taken for one that stays empty.
        """
        count = np.maximum(self._around[:, rows] - own, 0) + np.array([[1], [0], [0]])
        return np.asarray((count / self._length[:, rows]).max(0), np.float64)

    def _gain(self, distance: float, turns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the logarithm of each link's weight over its window."""
        table = [0.0] + [math.log(weight / (2 * window_mm(distance, turn))) for turn, weight in _TURNS.items()]
        return np.array(table)[turns]

    def _rate(self, marks: tuple[int, ...], turns: tuple[int, ...], distance: float) -> Chain:
        """Bound the chance of a chain, by the density of what is around it and not of it; one more at least."""
        rows = np.array(marks)
        along = self.along[rows]
        own = np.stack(
            [
                np.searchsorted(along, along + reach, "right") - np.searchsorted(along, along - reach) - 1
                for reach in _AROUND_MM
            ]
        )
        gain = self._gain(distance, np.array(turns)) - np.log(self._density(rows, own)[:-1])
        return Chain(marks, turns, self._log_looks + math.log(len(turns)) - float(gain.sum()))


def _pairs(
    along: NDArray[np.float64], across: NDArray[np.float64], lane: float, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of one lane that are no further apart than `reach`; none where there are too many to handle."""
    firsts, seconds, count = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for step in range(1, len(along)):
        near = along[step:] - along[:-step] <= reach
        if not near.any():
            break
        first = np.flatnonzero(near & (np.abs(across[step:] - across[:-step]) <= lane))
        firsts.append(first)
        seconds.append(first + step)
        count += len(first)
        if count > _MOST_PAIRS:
            return firsts[0], seconds[0]
    return np.concatenate(firsts), np.concatenate(seconds)
