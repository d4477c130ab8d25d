"""Several finders over one frame: what two of them found is one region that names both. Inspect thread.

Two regions of different finders are one when their boxes overlap by `merge_iou`, or when one without a name lies inside
the other. Regions that are named differently stay two, and a named one inside a larger one without a name does too:
what it explains is not the whole. Of those that are one, the box is that of the surest name, else around all of them.
`unknown` is no name here: it gives way to any other, and stands where there is none.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.model import UNKNOWN
from station.frame import Image
from station.regions.base import SHADOW, Named, RegionFinder, Regions
from station.regions.boxes import areas, common, corners_of

__all__ = ["CombineFinder", "merge_regions"]

_INSIDE: Final = 0.8


class CombineFinder:
    """The `RegionFinder` made of others. A frame that one of them can't judge is invalid."""

    def __init__(self, finders: Sequence[RegionFinder], merge_iou: float) -> None:
        self.finders = tuple(finders)
        self._merge_iou = merge_iou

    def find(self, image: Image) -> Regions:
        """Return the regions of `image`: new arrays, in order of falling area."""
        found = []
        for finder in self.finders:
            regions = finder.find(image)
            if regions.invalid is not None:
                return regions
            found.append(regions)
        return merge_regions(found, self._merge_iou)

    def learn(self, image: Image) -> None:
        """Let those learn that do."""
        for finder in self.finders:
            finder.learn(image)


def merge_regions(found: Sequence[Regions], merge_iou: float) -> Regions:
    """Return what several finders found in one image, each region once, in order of falling area."""
    owner = np.repeat(np.arange(len(found)), [len(regions) for regions in found])
    every = _concatenate(found)
    rank = np.array(sorted(range(len(every)), key=lambda row: _rank(every, row)), np.int64)
    every, owner = every.take(rank), owner[rank]
    leader = _leaders(every, owner, merge_iou)
    leads = leader == np.arange(len(leader))
    if not leads.all():
        every = _merge(every, owner, leader)
    rows = np.flatnonzero(leads)
    return every.take(rows[np.argsort(-every.area[rows], kind="stable")])


def _rank(every: Regions, row: int) -> tuple[bool, float]:
    """Return what sorts leaders before others: the surest names, then the largest of those without."""
    named = every.named[row]
    if _name(named):
        return False, -named.confidence if named else 0.0
    return True, -float(every.area[row])


def _name(named: Named | None) -> str:
    return "" if named is None or named.label == UNKNOWN else named.label


def _concatenate(found: Sequence[Regions]) -> Regions:
    return Regions(
        np.concatenate([regions.box for regions in found]),
        np.concatenate([regions.area for regions in found]),
        np.concatenate([regions.depth for regions in found]),
        np.concatenate([regions.centroid for regions in found]),
        None,
        tuple(name for regions in found for name in regions.found_by),
        np.concatenate([regions.score for regions in found]),
        tuple(named for regions in found for named in regions.named),
    )


def _leaders(every: Regions, owner: NDArray[np.int64], merge_iou: float) -> NDArray[np.int64]:
    """Return for each region, in order of rank, the one before that it is the same as; itself where there is none."""
    corners = corners_of(every.box)
    area, shared = areas(corners), common(corners)
    names = np.array([_name(named) for named in every.named])
    nameless = (names == "")[:, None]
    overlaps = shared / (area[:, None] + area - shared)
    same = (overlaps >= merge_iou) & (nameless | (names[:, None] == names))
    same |= nameless & (shared >= _INSIDE * area[:, None])
    same &= owner[:, None] != owner
    leader = np.arange(len(every))
    for row in np.flatnonzero(np.tril(same, -1).any(1)).tolist():
        before = same[row, :row] & (leader[:row] == np.arange(row))
        if before.any():
            leader[row] = np.where(before, overlaps[row, :row], -1).argmax()
    return leader


def _merge(every: Regions, owner: NDArray[np.int64], leader: NDArray[np.int64]) -> Regions:
    """Return `every` with each leader standing for all that follow it."""
    box, area, score = every.box.copy(), every.area.copy(), every.score.copy()
    found_by, named = list(every.found_by), list(every.named)
    for row in np.unique(leader[leader != np.arange(len(leader))]).tolist():
        group = np.flatnonzero(leader == row)
        group = group[np.argsort(owner[group], kind="stable")]
        found_by[row] = "+".join(dict.fromkeys(every.found_by[one] for one in group.tolist()))
        told = [every.score[one] for one in group.tolist() if every.found_by[one] != SHADOW]
        score[row] = max(told, default=1)
        names = [name for one in group.tolist() if (name := every.named[one]) is not None]
        if not _name(named[row]):
            corners = corners_of(every.box[group])
            low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
            box[row] = (*low, *(high - low))
            area[row] = every.area[group].max()
        named[row] = _joined_name(named[row], names)
    return Regions(box, area, every.depth, every.centroid, None, tuple(found_by), score, tuple(named))


def _joined_name(leader: Named | None, names: Sequence[Named]) -> Named | None:
    """Return the name of regions that are one: that of their leader, to be confirmed if all who gave it want that."""
    if leader is None or leader.label == UNKNOWN:
        return names[0] if names else None
    return leader._replace(confirm=all(name.confirm for name in names if name.label == leader.label))
