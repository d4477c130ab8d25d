"""Tiles cover the frame, share what they must, and start where cells start."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import FinderCard
from shadowline.errors import EngineMismatch
from station.regions.tiles import MOST_TILES, Tiling, lay_tiles

SIDE = st.integers(1, 2500)
STRIDE = st.sampled_from([1, 4, 8, 32])


def card(**facts: object) -> FinderCard:
    return FinderCard.model_validate({"kind": "heatmap", "name": "drawn", "threshold": 0.5} | facts)


@given(height=SIDE, width=SIDE, stride=STRIDE, cells=st.integers(16, 40), overlap=st.integers(0, 100))
def test_tiles_of_a_fixed_size_cover_every_frame(
    height: int, width: int, stride: int, cells: int, overlap: int
) -> None:
    side = cells * max(stride, 8)
    try:
        tiling = lay_tiles((height, width), card(stride=stride, input_px=(side, side), overlap_px=overlap))
    except EngineMismatch:
        assert height * width > side * side * 4
        return
    assert tiling.tile_px == (side, side)
    for starts, length in ((tiling.rows, height), (tiling.columns, width)):
        assert starts[0] == 0
        assert starts[-1] + side >= length
        assert all(start % stride == 0 for start in starts)
        assert all(before + side - after >= overlap for before, after in pairwise(starts))
        assert len(starts) == 1 or length > side


def test_a_network_of_any_size_takes_the_frame_whole_up_to_a_limit() -> None:
    any_size = card(stride=8, overlap_px=32)
    assert lay_tiles((250, 512), any_size) == Tiling((250, 512), (256, 512), (0,), (0,))
    assert lay_tiles((250, 512), any_size).canvas_px == (256, 512)
    cut = lay_tiles((250, 512), any_size, most_px=200)
    assert cut.tile_px == (200, 200)
    assert cut.count == len(cut.starts) == 6


def test_a_frame_smaller_than_the_tile_is_one_tile() -> None:
    tiling = lay_tiles((20, 30), card(stride=8, input_px=(64, 128)))
    assert (tiling.count, tiling.tile_px, tiling.canvas_px) == (1, (64, 128), (64, 128))


def test_more_tiles_than_a_line_can_wait_for_are_refused_with_what_helps() -> None:
    with pytest.raises(
        EngineMismatch, match=rf"drawn: a frame is \d+ tiles of 64×64, at most {MOST_TILES}: raise scale"
    ):
        lay_tiles((3000, 4096), card(stride=8, input_px=(64, 64)))
