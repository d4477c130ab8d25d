"""Frames to calibrate and to prove a finder on: from folders of pictures, or drawn by the simulator. Pure."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines import FinderCard
from shadowline.errors import StationError
from station.camera.pictures import list_pictures, read_picture
from station.camera.strip import Strip
from station.frame import Image, InvalidReason
from station.regions.reduce import Reducer, reduced_px
from station.regions.tiles import lay_tiles

__all__ = ["draw_frames", "read_frames"]

_MAX_PIXELS = 100e6
_MOST: Final = 256
"""Frames that are taken at most: ranges settle long before."""
_USUAL_PX: Final = 512
_STRIP_PX: Final = (2048, 1000)
_DEFECTS_PER_FRAME = 20.0
_SEED = 20_000


def read_frames(folder: Path, card: FinderCard) -> NDArray[np.uint8]:
    """Return the pictures below `folder` as the network of `card` gets them, uint8 [n,1,H,W], n up to 256.

    Pictures are reduced and cut into tiles as serving does it; of too many, some are taken from all over. Where the
    network takes any size, the first picture decides.
    Raises `StationError` when there is no picture, or one can't be read.
    """
    try:
        files = list_pictures(folder)
    except OSError as fault:
        raise StationError(f"{folder}: {fault.strerror}") from fault
    if not files:
        raise StationError(f"{folder}: no picture there")
    tiles: list[NDArray[np.uint8]] = []
    files = files[:: -(-len(files) // _MOST)]
    for file in files:
        image = read_picture(file, _MAX_PIXELS)
        if isinstance(image, InvalidReason):
            raise StationError(f"{file}: {image.value}")
        card = _sized(card, image)
        found = _tiles_of(image, card)
        tiles.append(found[:: -(-len(found) * len(files) // _MOST)].copy())
    return np.concatenate(tiles)[:_MOST]


def draw_frames(card: FinderCard, count: int) -> NDArray[np.uint8]:
    """Return `count` tiles of strips of the simulator as the network of `card` gets them; the same every time."""
    strip = Strip(*_STRIP_PX, _SEED, _DEFECTS_PER_FRAME)
    card = _sized(card, strip.frame(0)[0])
    tiles: list[NDArray[np.uint8]] = []
    for index in range(count):
        if sum(map(len, tiles)) >= count:
            break
        tiles.append(_tiles_of(strip.frame(index)[0], card))
    return np.concatenate(tiles)[:count]


def _sized(card: FinderCard, image: Image) -> FinderCard:
    """Return `card` for frames of one size, for `image` if it takes any."""
    tile_px = lay_tiles(reduced_px(image.shape, card.scale), card, _USUAL_PX).tile_px
    return card.model_copy(update={"input_px": tile_px})


def _tiles_of(image: Image, card: FinderCard) -> NDArray[np.uint8]:
    tiling = lay_tiles(reduced_px(image.shape, card.scale), card)
    return Reducer(image, tiling).fill(image)
