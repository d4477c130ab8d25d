"""What several tiles see of a place adds up to one, and fades from one to the next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import FakeFrameEngine, FinderCard
from shadowline.errors import EngineError
from station.regions.join import MapJoiner, tile_weights
from station.regions.tiles import lay_tiles
from tests.finders import darkness

CARD = FinderCard(kind="heatmap", name="drawn", threshold=0.5, stride=8, input_px=(64, 64), overlap_px=16)


@given(length=st.integers(2, 30), steps=st.lists(st.integers(1, 30), max_size=5))
def test_weights_add_up_to_one_everywhere(length: int, steps: list[int]) -> None:
    starts = np.cumsum([0, *(min(step, length) for step in steps)]).tolist()
    weights = tile_weights(starts, length)
    whole = np.zeros(starts[-1] + length)
    for start, weight in zip(starts, weights, strict=True):
        whole[start : start + length] += weight
    assert np.allclose(whole, 1, atol=1e-5)
    assert (weights > 0).all()


def test_tiles_give_the_map_that_the_whole_frame_gives() -> None:
    image = np.random.default_rng(1).integers(0, 256, (150, 200), np.uint8)
    tiling = lay_tiles(image.shape, CARD)
    assert tiling.count == 12
    canvas = np.zeros(tiling.canvas_px, np.uint8)
    canvas[:150, :200] = image
    tiles = np.stack([canvas[None, y : y + 64, x : x + 64] for y, x in tiling.starts])
    whole = darkness(8)(canvas[None, None, :152, :200])["heat"]
    with FakeFrameEngine(CARD, darkness(8)) as engine:
        joined = MapJoiner(tiling, 8, 1).join(engine, tiles)
    assert np.allclose(joined, whole, atol=1e-5)


def test_heat_of_another_shape_than_the_card_says_is_told() -> None:
    tiling = lay_tiles((64, 64), CARD)
    with (
        FakeFrameEngine(CARD, darkness(4)) as engine,
        pytest.raises(EngineError, match=r"drawn: heat of a tile is \[16, 16\], must be \[1, 8, 8\]: the stride or"),
    ):
        MapJoiner(tiling, 8, 1).join(engine, np.zeros((1, 1, 64, 64), np.uint8))
