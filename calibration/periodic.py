"""Repeat distances of defects along the strip: what a damaged roll prints at every turn. Pure.

A repeat is a chain of marks, one a turn, that stay at one place across. Chains bear slip, because each mark is only
compared with the ones next to it, and up to two missing marks in a row. `periodic_chains` says how sure one is.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration.periodic_chains import LEAST_MARKS, Chain, Marks, window_mm

__all__ = ["Repeat", "Roll", "find_repeats"]

_SHORTEST_MM, _LONGEST_MM = 50.0, 5200.0  # turns of rolls from 16 mm to 1650 mm
_MOST_TURNS_BETWEEN = 10  # from the end of one chain to the begin of another that goes on with it
_ROLL_TOLERANCE = 0.01  # wear since the diameter was measured, and slip


@dataclass(frozen=True, slots=True)
class Roll:
    """A roll of the line, whose surface may print on the strip."""

    name: str
    diameter_mm: float

    @property
    def turn_mm(self) -> float:
        """Millimetres of strip that pass in one turn."""
        return math.pi * self.diameter_mm


@dataclass(frozen=True, slots=True)
class Repeat:
    """A chain of marks. `marks` are rows of the input, `rolls` the names that fit, nearest first.

    `false_alarm` bounds the chance that a coil of random defects shows any chain as good as this one. `spread_mm` is
    the standard deviation of single distances, `missing` how many marks were not found between the first and the last.
    """

    distance_mm: float
    spread_mm: float
    start_mm: float
    end_mm: float
    across: float
    marks: tuple[int, ...]
    missing: int
    false_alarm: float
    rolls: tuple[str, ...]


def find_repeats(
    along_mm: NDArray[np.float64],
    across: NDArray[np.float64],
    lane: float,
    rolls: Sequence[Roll] = (),
    false_alarm: float = 1e-3,
) -> list[Repeat]:
    """Return the repeats among defects, surest first.

    `along_mm` and `across` [n] are the middles of the defects, in any order; across in any unit, with `lane` the most
    that two following marks of a roll may differ. Of random coils at most the part `false_alarm` shows a repeat.
    Nothing is found where defects lie so densely that none could be told from chance.
    """
    if len(along_mm) < LEAST_MARKS:
        return []
    order = np.argsort(along_mm, kind="stable")
    marks = Marks(along_mm[order], across[order], lane, _distances(rolls))
    chains = _join(_search(marks, math.log(false_alarm)), marks, lane)
    return [_describe(chain, order, marks, rolls) for chain in sorted(chains, key=lambda chain: chain.log_alarm)]


def _search(marks: Marks, log_limit: float) -> list[Chain]:
    """Return the surest chain, then the surest of what is left, and so on; no mark is in two."""
    found: list[Chain] = []
    heap = [(chain.log_alarm, distance) for distance in marks.distances if (chain := marks.chain(distance))]
    heapq.heapify(heap)
    while heap and heap[0][0] <= log_limit:
        log_alarm, distance = heapq.heappop(heap)
        chain = marks.chain(distance)
        if chain is not None and chain.log_alarm <= log_alarm:
            found.append(chain)
            marks.use(chain)
            chain = marks.chain(distance)
        if chain is not None:
            heapq.heappush(heap, (chain.log_alarm, distance))
    return found


def _join(chains: list[Chain], marks: Marks, lane: float) -> list[Chain]:
    """Return the chains, those that go on after a few turns of slip or without marks as one; along the strip."""
    joined: list[Chain] = []
    for chain in sorted(chains, key=lambda chain: chain.marks[0]):
        for number, before in enumerate(joined):
            if turns := _turns_between(before, chain, marks, lane):
                joined[number] = Chain(
                    before.marks + chain.marks,
                    (*before.turns, turns, *chain.turns),
                    min(before.log_alarm, chain.log_alarm),
                )
                break
        else:
            joined.append(chain)
    return joined


def _turns_between(before: Chain, after: Chain, marks: Marks, lane: float) -> int:
    """Return the turns from the end of a chain to the begin of another; 0 where they don't belong together."""
    distance, another = marks.distance(before), marks.distance(after)
    apart = marks.along[after.marks[0]] - marks.along[before.marks[-1]]
    turns = round(apart / distance)
    fits = abs(distance - another) <= window_mm(distance, 1) / 2 and 1 <= turns <= _MOST_TURNS_BETWEEN
    aside = abs(marks.across[after.marks[0]] - marks.across[before.marks[-1]])
    return turns if fits and aside <= lane else 0


def _distances(rolls: Sequence[Roll]) -> list[float]:
    """Return the distances to try, half a window apart, beyond the turn of the largest roll."""
    longest = max([_LONGEST_MM, *(roll.turn_mm * 1.05 for roll in rolls)])
    distances = [_SHORTEST_MM]
    while distances[-1] < longest:
        distances.append(distances[-1] + window_mm(distances[-1], 1) / 2)
    return distances


def _describe(chain: Chain, order: NDArray[np.int64], marks: Marks, rolls: Sequence[Roll]) -> Repeat:
    """Measure the distance of a chain and name the rolls that it fits."""
    rows = np.array(chain.marks)
    along, turns = marks.along[rows], np.array(chain.turns)
    distance = marks.distance(chain)
    single = np.array([after - before for before, after in pairwise(along.tolist())]) - turns * distance
    fitting = [roll for roll in rolls if abs(roll.turn_mm - distance) <= _ROLL_TOLERANCE * roll.turn_mm]
    return Repeat(
        distance_mm=distance,
        spread_mm=float(single.std()),
        start_mm=float(along[0]),
        end_mm=float(along[-1]),
        across=float(np.median(marks.across[rows])),
        marks=tuple(order[rows].tolist()),
        missing=int(turns.sum()) - len(turns),
        false_alarm=math.exp(max(chain.log_alarm, -700.0)),
        rolls=tuple(roll.name for roll in sorted(fitting, key=lambda roll: abs(roll.turn_mm - distance))),
    )
