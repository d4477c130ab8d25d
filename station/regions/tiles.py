"""How a frame is cut into tiles that a network takes. Pure.

Tiles are of one size and start at multiples of the stride, so that their cells are cells of the whole; they cover the
frame evenly and share at least the overlap. What of a tile lies beyond the frame repeats its border.
"""

from dataclasses import dataclass
from typing import Final

from engines import FinderCard
from shadowline.errors import EngineMismatch

__all__ = ["MOST_TILES", "TILES_A_RUN", "Tiling", "lay_tiles"]

MOST_TILES: Final = 64
"""More than these a frame are refused: no line waits for so many."""
TILES_A_RUN: Final = 4
"""So many are given to the network together: it bounds the memory of a run."""
_USUAL_PX: Final = 1024


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles over a frame of `frame_px`, all in input pixels, height before width; `rows` and `columns` are starts."""

    frame_px: tuple[int, int]
    tile_px: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows) * len(self.columns)

    @property
    def starts(self) -> list[tuple[int, int]]:
        """Upper left corners y, x, row by row."""
        return [(row, column) for row in self.rows for column in self.columns]

    @property
    def canvas_px(self) -> tuple[int, int]:
        """Height and width of what the tiles cover."""
        return self.rows[-1] + self.tile_px[0], self.columns[-1] + self.tile_px[1]


def lay_tiles(frame_px: tuple[int, int], card: FinderCard, most_px: int | None = None) -> Tiling:
    """Return the tiles over a frame of `frame_px` input pixels, height and width, for the network of `card`.

    Where it takes any size, the frame is one tile up to `most_px` a side. Raises `EngineMismatch` for more than
    `MOST_TILES`.
    """
    fixed = card.input_px or (None, None)
    (height, rows), (width, columns) = (
        _lay(length, side, most_px or _USUAL_PX, card) for length, side in zip(frame_px, fixed, strict=True)
    )
    tiling = Tiling(frame_px, (height, width), rows, columns)
    if tiling.count > MOST_TILES:
        raise EngineMismatch(
            f"{card.name}: a frame is {tiling.count} tiles of {width}×{height}, at most {MOST_TILES}: "
            "raise scale, or tile_px where its network takes any size"
        )
    return tiling


def _lay(length: int, fixed: int | None, most: int, card: FinderCard) -> tuple[int, tuple[int, ...]]:
    """Return length and starts of the tiles along one way."""
    stride = card.stride
    tile = fixed or min(_up(length, stride), max(most // stride * stride, stride))
    if length <= tile:
        return tile, (0,)
    fresh = max(tile - _up(card.overlap_px, stride), stride)
    count = 1 + -(-(length - tile) // fresh)
    step = _up(-(-(length - tile) // (count - 1)), stride)
    return tile, tuple(range(0, count * step, step))


def _up(length: int, stride: int) -> int:
    """Return the next multiple of `stride`."""
    return -(-length // stride) * stride
