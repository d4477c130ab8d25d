"""One map of a whole frame from those of its tiles, which fade into each other where they overlap. Pure."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engines import FrameEngine
from shadowline.errors import EngineError
from station.regions.tiles import TILES_A_RUN, Tiling

__all__ = ["MapJoiner", "tile_weights"]


class MapJoiner:
    """Runs a network over the tiles of frames of one size and joins `maps` maps a tile, in a buffer of its own."""

    def __init__(self, tiling: Tiling, stride: int, maps: int) -> None:
        self._cells = tuple(-(-side // stride) for side in tiling.frame_px)
        height, width = (side // stride for side in tiling.tile_px)
        self._shape = (maps, height, width)
        rows, columns = ([start // stride for start in starts] for starts in (tiling.rows, tiling.columns))
        self._whole = np.zeros((maps, rows[-1] + height, columns[-1] + width), np.float32)
        self._parts = [self._whole[:, y : y + height, x : x + width] for y in rows for x in columns]
        down, across = tile_weights(rows, height), tile_weights(columns, width)
        self._weights = [np.outer(one, other) for one in down for other in across]

    def join(self, engine: FrameEngine, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the heat of `tiles` [n,1,H,W] as maps [maps,h,w] of the frame, overwritten by the next call.

        Raises `EngineError`, also for heat of another shape than the tiles'.
        """
        self._whole.fill(0)
        for start in range(0, len(tiles), TILES_A_RUN):
            heat = engine.run(tiles[start : start + TILES_A_RUN])["heat"]
            if heat.shape[-2:] != self._shape[1:] or heat[0].size != np.prod(self._shape):
                raise EngineError(
                    f"{engine.card.name}: heat of a tile is {list(heat.shape[1:])}, must be {list(self._shape)}: the "
                    "stride or the labels of its card are not the graph's: export it again"
                )
            for index, one in enumerate(heat.reshape(-1, *self._shape), start):
                self._parts[index] += one * self._weights[index]
        return self._whole[:, : self._cells[0], : self._cells[1]]


def tile_weights(starts: Sequence[int], length: int) -> NDArray[np.float32]:
    """Return the part [tiles,length] that each tile's cells have in the whole along one way.

    `starts` and `length` are in cells. Parts fall towards a border that a neighbour overlaps and add up to 1.
    """
    whole = np.zeros(starts[-1] + length, np.float32)
    weights = np.ones((len(starts), length), np.float32)
    for index, (before, after) in enumerate(pairwise(starts)):
        shared = before + length - after
        ramp = np.arange(1, shared + 1, dtype=np.float32) / (shared + 1)
        weights[index + 1, :shared] *= ramp
        weights[index, length - shared :] *= ramp[::-1]
    for start, weight in zip(starts, weights, strict=True):
        whole[start : start + length] += weight
    for start, weight in zip(starts, weights, strict=True):
        weight /= whole[start : start + length]
    return weights
