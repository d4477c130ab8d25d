"""Line-scan blocks that overlap: the rows that go on top of the next block, and what was seen in them before. Pure."""

import numpy as np
from numpy.typing import NDArray

from station.frame import Frame, Image
from station.regions import Regions

__all__ = ["Overlap", "Tail"]

_SAME = 0.3  # part of a region's box that one of the block before must cover to be the same


class Tail:
    """Keeps the last rows of a camera's picture for the top of its next one. Capture thread."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._kept: Image | None = None

    def exchange(self, image: Image) -> Image | None:
        """Keep the last rows of `image` and return those of the picture before, where it was of this width and type."""
        before = self._kept
        self._kept = image[-self._rows :].copy() if self._rows else None
        if before is None or before.shape[1] != image.shape[1] or before.dtype != image.dtype:
            return None
        return before

    def forget(self) -> None:
        """The next picture does not follow on the last one."""
        self._kept = None


class Overlap:
    """Tells the regions of a block that the block before has shown already. Inspect thread, one a camera."""

    def __init__(self) -> None:
        self._boxes: NDArray[np.int32] = np.empty((0, 4), np.int32)
        self._rows = 0
        self._sequence = 0

    def sift(self, frame: Frame, regions: Regions) -> tuple[Regions, NDArray[np.bool_]]:
        """Return the regions that are news, and which of them go on from the block before.

        A region that lies in the repeated rows alone and was told is dropped. One that reaches beyond them was cut
        there: it comes whole here, marked as going on. Nothing is ever held back for a next block that may not come.
        """
        if not frame.overlap_rows:
            self._boxes, self._rows, self._sequence = regions.box, frame.image.shape[0], frame.sequence
            return regions, np.zeros(len(regions), np.bool_)
        shared = self._covered(frame, regions)
        again = (shared >= _SAME) & (regions.box[:, 1] + regions.box[:, 3] <= frame.overlap_rows)
        self._boxes, self._rows, self._sequence = regions.box, frame.image.shape[0], frame.sequence
        news = ~again
        return (regions if news.all() else regions.where(news)), (shared > 0)[news]

    def _covered(self, frame: Frame, regions: Regions) -> NDArray[np.float64]:
        """Return the part of each box's repeated rows that a box of the block before covers most."""
        if frame.sequence != self._sequence + 1 or not len(self._boxes) or not len(regions):
            return np.zeros(len(regions))
        before = _corners(self._boxes) - np.array([0, 1, 0, 1]) * (self._rows - frame.overlap_rows)
        own = np.minimum(_corners(regions.box), np.array([1 << 30, frame.overlap_rows] * 2))
        low = np.maximum(own[:, None, :2], before[None, :, :2])
        high = np.minimum(own[:, None, 2:], before[None, :, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=2).max(1)
        area = np.prod(np.clip(own[:, 2:] - own[:, :2], 0, None), axis=1)
        return np.asarray(common / np.maximum(area, 1), np.float64)


def _corners(box: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return x0, y0, x1, y1 of boxes x, y, w, h."""
    return np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1).astype(np.int64)
