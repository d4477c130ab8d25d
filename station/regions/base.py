"""Regions of one image as columns, and the finder contract. Pure."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from station.frame import Image

__all__ = ["RegionFinder", "Regions"]


@dataclass(frozen=True, slots=True)
class Regions:
    """n regions of one image, a column each, in order of falling area.

    `box` int32 [n,4] is x, y, w, h in pixels; `area` int32 [n] pixels beyond the limit; `depth` float32 [n] mean grey
    levels beyond the limit, in 8-bit levels (negative: darker, positive: brighter); `centroid` float32 [n,2] x, y.
    `invalid` says that the image is not worth judging (`dark`, `overfull`), and is None otherwise.
    """

    box: NDArray[np.int32]
    area: NDArray[np.int32]
    depth: NDArray[np.float32]
    centroid: NDArray[np.float32]
    invalid: str | None = None

    def __len__(self) -> int:
        return len(self.area)

    def where(self, keep: NDArray[np.bool_]) -> "Regions":
        """Return the regions that `keep` [n] chooses."""
        return Regions(self.box[keep], self.area[keep], self.depth[keep], self.centroid[keep], self.invalid)

    @classmethod
    def none(cls, invalid: str | None = None) -> "Regions":
        """Return no regions: a clean image, or one that `invalid` says can't be judged."""
        return cls(
            np.empty((0, 4), np.int32),
            np.empty(0, np.int32),
            np.empty(0, np.float32),
            np.empty((0, 2), np.float32),
            invalid,
        )


class RegionFinder(Protocol):
    """Finds the regions of an image that deserve a name. One finder a camera."""

    def find(self, image: Image) -> Regions:
        """Return the regions of `image` (H×W uint8 or uint16, read-only)."""

    def learn(self, image: Image) -> None:
        """Learn from `image`, the one that `find` was given last; called once its verdict is out."""
