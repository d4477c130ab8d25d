"""Regions of one image as columns, and the finder contract. Pure."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from station.frame import Image

__all__ = ["SHADOW", "Named", "RegionFinder", "Regions"]

SHADOW: Final = "shadow"
"""Who found the regions of the classical path."""


class Named(NamedTuple):
    """What a finder itself calls a region."""

    label: str
    confidence: float
    confirm: bool = False
    """It stands only where the classifier says the same."""


def _not_told() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Regions:
    """n regions of one image, a column each, in order of falling area.

    `box` int32 [n,4] is x, y, w, h in pixels; `area` int32 [n] pixels beyond the limit; `depth` float32 [n] mean grey
    levels beyond the limit, in 8-bit levels (negative: darker, positive: brighter), of a map mean heat beyond the
    threshold times 255, of a detector 0; `centroid` float32 [n,2] x, y. `invalid` says that the image is not worth
    judging (`dark`, `overfull`, `not_finite`), and is None otherwise. `found_by` [n] names the finders, several by
    `+`; `score` float32 [n] is how sure they are, 0 to 1, and 1 where they do not say; `named` [n] is what a finder
    calls a region, None where the classifier is to name it. These three may be left out by who finds shadows.
    """

    box: NDArray[np.int32]
    area: NDArray[np.int32]
    depth: NDArray[np.float32]
    centroid: NDArray[np.float32]
    invalid: str | None = None
    found_by: tuple[str, ...] = ()
    score: NDArray[np.float32] = field(default_factory=_not_told)
    named: tuple[Named | None, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.area)
        if len(self.found_by) != count:
            object.__setattr__(self, "found_by", (SHADOW,) * count)
        if len(self.score) != count:
            object.__setattr__(self, "score", np.ones(count, np.float32))
        if len(self.named) != count:
            object.__setattr__(self, "named", (None,) * count)

    def __len__(self) -> int:
        return len(self.area)

    def where(self, keep: NDArray[np.bool_]) -> "Regions":
        """Return the regions that `keep` [n] chooses."""
        return self.take(np.flatnonzero(keep))

    def take(self, rows: NDArray[np.int64]) -> "Regions":
        """Return the regions `rows`, in that order."""
        places = rows.tolist()
        return Regions(
            self.box[rows],
            self.area[rows],
            self.depth[rows],
            self.centroid[rows],
            self.invalid,
            tuple(self.found_by[place] for place in places),
            self.score[rows],
            tuple(self.named[place] for place in places),
        )

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
        """Return the regions of `image` (H×W uint8 or uint16, read-only). A network's raises `EngineError`."""

    def learn(self, image: Image) -> None:
        """Learn from `image`, the one that `find` was given last; called once its verdict is out."""
