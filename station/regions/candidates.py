"""A detector's boxes sorted out: none outside the frame, none twice. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station.regions.boxes import areas, common, groups_of
from station.regions.tiles import Tiling

__all__ = ["Candidates", "clip", "join", "join_tiles", "suppress"]

_INSIDE: Final = 0.5
_AT_BORDER_PX: Final = 4.0
_LEAST_PX: Final = 0.5


@dataclass(frozen=True, slots=True)
class Candidates:
    """n boxes: corners x0, y0, x1, y1 float64 [n,4], in input pixels of the frame; scores, labels and tiles [n]."""

    corners: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    tiles: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Candidates":
        """Return the boxes `rows`."""
        return Candidates(self.corners[rows], self.scores[rows], self.labels[rows], self.tiles[rows])


def join(parts: Sequence[Candidates]) -> Candidates:
    """Return all boxes of `parts`, at least one, one after the other."""
    return Candidates(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.tiles for part in parts]),
    )


def clip(boxes: Candidates, frame_px: tuple[int, int]) -> Candidates:
    """Return `boxes` cut off at the borders of a frame of this height and width, without those that are left empty."""
    corners = boxes.corners.clip(0, np.tile(frame_px[::-1], 2))
    inside = (corners[:, 2:] - corners[:, :2] >= _LEAST_PX).all(1)
    return Candidates(corners, boxes.scores, boxes.labels, boxes.tiles).take(inside)


def suppress(boxes: Candidates, iou: float) -> Candidates:
    """Return of boxes of one label that overlap by more than `iou` the surest alone; 1 leaves all."""
    if iou >= 1 or not len(boxes):
        return boxes
    sides = np.concatenate([boxes.corners[:, :2], boxes.corners[:, 2:] - boxes.corners[:, :2]], 1)
    kept = cv2.dnn.NMSBoxesBatched(sides.tolist(), boxes.scores.tolist(), boxes.labels.tolist(), 0.0, iou)
    return boxes.take(np.asarray(kept, np.int64).reshape(-1))


def join_tiles(boxes: Candidates, tiling: Tiling) -> Candidates:
    """Return `boxes` with one box, around all, for those of one label that are the same in several tiles.

    They are when they overlap and one lies mostly inside the other, or is cut off by the border of its tile.
    """
    area, cut = areas(boxes.corners), _are_cut(boxes, tiling)
    shared = common(boxes.corners)
    mostly = (shared >= _INSIDE * np.minimum.outer(area, area)) | cut[:, None] | cut[None, :]
    apart = (boxes.labels[:, None] == boxes.labels) & (boxes.tiles[:, None] != boxes.tiles)
    groups = groups_of(apart & mostly & (shared > 0))
    corners, scores = boxes.corners.copy(), boxes.scores.copy()
    for group in groups:
        if len(group) > 1:
            corners[group[0]] = (*boxes.corners[group, :2].min(0), *boxes.corners[group, 2:].max(0))
            scores[group[0]] = boxes.scores[group].max()
    first = np.array([group[0] for group in groups], np.int64)
    return Candidates(corners, scores, boxes.labels, boxes.tiles).take(first)


def _are_cut(boxes: Candidates, tiling: Tiling) -> NDArray[np.bool_]:
    """Return which boxes [n] end at a border of their tile beyond which the frame goes on."""
    start = np.array(tiling.starts)[boxes.tiles, ::-1]
    end = start + tiling.tile_px[::-1]
    before = (start > 0) & (boxes.corners[:, :2] < start + _AT_BORDER_PX)
    behind = (end < tiling.frame_px[::-1]) & (boxes.corners[:, 2:] > end - _AT_BORDER_PX)
    return np.asarray((before | behind).any(1))
