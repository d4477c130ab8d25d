"""What stays in its place while the strip moves: dirt on lens and cover glass, and dead pixels. Pure.

Rows and columns of a map count pixels of a quarter picture. A streak down the whole frame is not told from one of the
strip itself: each column is compared with its own mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Spot", "Spots", "spots_in"]

_FOLLOW: Final = 1 / 12
"""Weight of a sample in the running mean."""
_LEAST_SAMPLES: Final = 8
_LEAST_SPOT: Final = 2
"""Pixels of the map; a single one is what a dead pixel makes of it."""
_BLOCK: Final = 10
"""Samples over which the pixels are counted that stand out of their neighbours."""
_DEAD_SHARE: Final = 0.2
_DEAD_LEVELS: Final = 16
_DEAD_OF_BLOCK: Final = 9
_MOST_DEAD: Final = 1000
_QUARTER: Final = 4


@dataclass(frozen=True, slots=True)
class Spot:
    """A spot of dirt: its centre in the frame, and the width of a disc of its area."""

    x_px: int
    y_px: int
    width_px: int


class Spots:
    """Keeps the running picture of what does not move. Samples of a strip that stands must not be given to it."""

    def __init__(self, shape: tuple[int, int], follow: float = _FOLLOW) -> None:
        """`follow` is the least weight of a sample in the running mean; 0 weighs all alike."""
        self.map: NDArray[np.float32] = np.zeros((shape[0] // _QUARTER, shape[1] // _QUARTER), np.float32)
        """Running mean of the relative pictures."""
        self.dead: NDArray[np.int32] | None = None
        """x, y of the pixels that stood out all the while, int32 [n,2], at most 1000; None before they were counted."""
        self._follow = follow
        self._samples = 0
        self._counts = np.zeros(shape, np.uint8)
        self._smooth = np.empty(shape, np.uint8)

    def add(self, image: NDArray[np.uint8], relative: NDArray[np.float32], level: float) -> None:
        """Take a sample: uint8 [H,W], its relative picture and mean level."""
        self._samples += 1
        cv2.accumulateWeighted(relative, self.map, max(1 / self._samples, self._follow))
        self._count(image, max(_DEAD_SHARE * level, _DEAD_LEVELS))

    def dirt(self, clean: NDArray[np.float32], depth: float) -> list[Spot] | None:
        """Return the spots that differ by more than `depth` from the map `clean`, largest first; None: too early.

        The relative picture is clipped at 0.1, so that with a `depth` of 0.05 a place must be off in half of the last
        samples.
        """
        if self._samples < _LEAST_SAMPLES:
            return None
        return spots_in(self.map - clean, depth)

    def dead_beyond(self, known: NDArray[np.int32], dirt: Sequence[Spot]) -> int | None:
        """Return how many pixels are dead besides those `known` and the rims of `dirt`; None: too early."""
        if self.dead is None:
            return None
        others = {(x, y) for x, y in self.dead.tolist()} - {(x, y) for x, y in known.tolist()}
        return sum(not any(_touches(spot, x, y) for spot in dirt) for x, y in others)

    def _count(self, image: NDArray[np.uint8], least_levels: float) -> None:
        """Count the pixels that stand out of their eight neighbours, and tell those that always did."""
        cv2.medianBlur(image, 3, self._smooth)
        cv2.absdiff(image, self._smooth, self._smooth)
        cv2.threshold(self._smooth, least_levels, 1, cv2.THRESH_BINARY, self._smooth)
        cv2.add(self._counts, self._smooth, self._counts)
        if self._samples % _BLOCK == 0:
            rows, columns = np.nonzero(self._counts >= _DEAD_OF_BLOCK)
            self.dead = np.column_stack([columns, rows])[:_MOST_DEAD].astype(np.int32)
            self._counts[:] = 0


def spots_in(off: NDArray[np.float32], depth: float) -> list[Spot]:
    """Return the spots of a map that are off by more than `depth`, largest first."""
    beyond = (np.abs(off) > depth).astype(np.uint8)
    if not beyond.any():
        return []
    count, _, statistics, centres = cv2.connectedComponentsWithStats(beyond)
    areas = statistics[1:count, cv2.CC_STAT_AREA].tolist()
    spots = [_spot(centre, area) for centre, area in zip(centres[1:count], areas, strict=True) if area >= _LEAST_SPOT]
    return sorted(spots, key=lambda spot: -spot.width_px)


def _spot(centre: NDArray[np.float64], area: int) -> Spot:
    x, y = ((centre + 0.5) * _QUARTER).astype(int).tolist()
    return Spot(x, y, max(1, round(_QUARTER * (4 * area / np.pi) ** 0.5)))


def _touches(spot: Spot, x: int, y: int) -> bool:
    return max(abs(spot.x_px - x), abs(spot.y_px - y)) <= spot.width_px + 2 * _QUARTER
