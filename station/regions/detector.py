"""Finds regions as the boxes of a detector, with its labels. One finder a camera, in the inspect thread."""

from typing import Final

import numpy as np

from engines import Found
from shadowline.errors import EngineError
from station.config import DetectorConfig
from station.frame import Image
from station.regions.base import Named, Regions
from station.regions.by_size import BySize
from station.regions.candidates import Candidates, clip, join, join_tiles, suppress
from station.regions.engines import OpenFinder
from station.regions.reduce import Reducer
from station.regions.tiles import TILES_A_RUN

__all__ = ["MOST_BOXES", "DetectorFinder"]

MOST_BOXES: Final = 1024
"""More boxes beyond the threshold than these are over-full: it bounds the time of sorting them out."""


class DetectorFinder:
    """The `RegionFinder` of detectors. It keeps buffers for the last two sizes of frame.

    A frame whose answers are no numbers is `not_finite`, one with too many boxes `overfull`. What lies outside the
    frame is cut off. The area of a region is that of its box.
    """

    def __init__(self, config: DetectorConfig, opened: OpenFinder) -> None:
        self._views = BySize(lambda image: _View(config, opened, image))

    def find(self, image: Image) -> Regions:
        """Return the regions of `image` (H×W uint8 or uint16): new arrays, in order of falling area."""
        return self._views.of(image).find(image)

    def learn(self, image: Image) -> None:
        """Learn nothing: what the network knows is in its file."""


class _View:
    """Everything that belongs to one size and type of frame."""

    def __init__(self, config: DetectorConfig, opened: OpenFinder, image: Image) -> None:
        height, width = image.shape
        card = opened.engine.card
        self._tiling = opened.tiling(image.shape)
        small = self._tiling.frame_px
        self._config, self._opened, self._card = config, opened, card
        self._size_px = (width, height)
        self._scale = (width / small[1], height / small[0]) * 2
        self._reducer = Reducer(image, self._tiling)
        self._nms_iou = card.nms_iou if config.nms_iou is None else config.nms_iou

    def find(self, image: Image) -> Regions:
        """Return the regions of `image`."""
        tiles = self._reducer.fill(image)
        if self._reducer.level < self._config.dark_level:
            return Regions.none("dark")
        parts = []
        for start in range(0, len(tiles), TILES_A_RUN):
            found = self._opened.engine.run(tiles[start : start + TILES_A_RUN])
            if not np.isfinite(found["scores"]).all():
                return Regions.none("not_finite")
            parts.append(self._choose(found, start))
        boxes = join(parts)
        if not np.isfinite(boxes.corners).all():
            return Regions.none("not_finite")
        return self._sort_out(boxes)

    def _choose(self, found: Found, first: int) -> Candidates:
        """Return a copy of what is beyond the threshold in the tiles from number `first` on, placed in the frame."""
        tile, row = np.nonzero(found["scores"] > self._opened.threshold)
        labels = found["labels"][tile, row]
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self._card.labels):
            raise EngineError(
                f"{self._card.name}: answers with label {labels.max()}, its card has {len(self._card.labels)}"
            )
        places = np.array(self._tiling.starts)[tile + first, ::-1]
        corners = found["boxes"][tile, row] + np.tile(places, 2).astype(np.float64)
        return Candidates(corners, found["scores"][tile, row].astype(np.float64), labels, tile + first)

    def _sort_out(self, boxes: Candidates) -> Regions:
        """Return `boxes` without doubles and what is outside the frame."""
        if len(boxes) > MOST_BOXES:
            return Regions.none("overfull")
        boxes = suppress(clip(boxes, self._tiling.frame_px), self._nms_iou)
        if len(boxes) > self._config.max_regions:
            return Regions.none("overfull")
        if self._tiling.count > 1:
            boxes = join_tiles(boxes, self._tiling)
        return self._describe(boxes) if len(boxes) else Regions.none()

    def _describe(self, boxes: Candidates) -> Regions:
        """Return `boxes` as regions in frame pixels."""
        corners = np.rint(boxes.corners * self._scale).astype(np.int32)
        corner = np.minimum(corners[:, :2], np.array(self._size_px, np.int32) - 1)
        sides = np.maximum(corners[:, 2:] - corner, 1)
        area = sides.prod(1, dtype=np.int32)
        order = np.argsort(-area, kind="stable")
        boxes, corner, sides = boxes.take(order), corner[order], sides[order]
        columns = (
            np.concatenate([corner, sides], 1),
            area[order],
            np.zeros(len(area), np.float32),
            (corner + (sides - 1) / 2).astype(np.float32),
        )
        scores = boxes.scores.astype(np.float32)
        for column in (*columns, scores):
            column.flags.writeable = False
        return Regions(*columns, None, (self._opened.name,) * len(area), scores, self._names(boxes))

    def _names(self, boxes: Candidates) -> tuple[Named | None, ...]:
        """Return what each box is called, None where the classifier is to name it."""
        if not self._opened.labels:
            return (None,) * len(boxes)
        confirm = self._config.naming == "confirm"
        return tuple(
            Named(self._opened.labels[label], score, confirm)
            for label, score in zip(boxes.labels.tolist(), boxes.scores.tolist(), strict=True)
        )
