"""A frame as a network gets it: nothing skipped, the border repeated, the upper 8 bits of 16."""

import numpy as np
import pytest

from engines import FinderCard
from station.regions.reduce import Reducer, reduce_image, reduced_px
from station.regions.tiles import lay_tiles

CARD = FinderCard(kind="heatmap", name="drawn", threshold=0.5, stride=8)
PICTURE = np.random.default_rng(3).integers(0, 256, (90, 130), np.uint8)


@pytest.mark.parametrize(
    ("scale", "shape"), [((1, 1), (90, 130)), ((4, 4), (22, 32)), ((2, 1), (90, 65)), ((0.5, 0.5), (180, 260))]
)
def test_sizes(scale: tuple[float, float], shape: tuple[int, int]) -> None:
    assert reduced_px(PICTURE.shape, scale) == shape


def test_a_picture_is_never_reduced_to_nothing() -> None:
    assert reduced_px((1, 1), (64, 64)) == (1, 1)


@pytest.mark.parametrize("shape", [(45, 65), (22, 32), (11, 20), (180, 260), (90, 130)])
def test_every_pixel_counts(shape: tuple[int, int]) -> None:
    out = np.empty(shape, np.uint8)
    reduce_image(PICTURE, out)
    assert out.mean() == pytest.approx(PICTURE.mean(), abs=2)


def test_a_bright_line_of_one_pixel_is_not_skipped() -> None:
    line = np.zeros((80, 80), np.uint8)
    line[:, 37] = 255
    out = np.empty((10, 10), np.uint8)
    reduce_image(line, out)
    assert (out[:, 4] > 20).all()


@pytest.mark.parametrize("scale", [(1.0, 1.0), (2.0, 2.0), (1.28, 1.28), (0.78, 0.78)])
def test_what_lies_beyond_the_frame_repeats_its_border(scale: tuple[float, float]) -> None:
    height, width = reduced_px(PICTURE.shape, scale)
    tiling = lay_tiles((height, width), CARD.model_copy(update={"input_px": (256, 256)}))
    (tile,) = Reducer(PICTURE, tiling).fill(PICTURE)[:, 0]
    alone = np.empty((height, width), np.uint8)
    reduce_image(PICTURE, alone)
    assert np.array_equal(tile[:height, :width], alone)
    assert (tile[:height, width:] == alone[:, -1:]).all()
    assert (tile[height:, :width] == alone[-1]).all()


@pytest.mark.parametrize("most_px", [None, 48])
def test_uint16_takes_the_upper_8_bits(most_px: int | None) -> None:
    tiling = lay_tiles(PICTURE.shape, CARD, most_px)
    deep = (PICTURE.astype(np.uint16) << 8) + 255
    plain = Reducer(PICTURE, tiling).fill(PICTURE)
    assert np.array_equal(Reducer(deep, tiling).fill(deep), plain)
    assert len(plain) == tiling.count


def test_the_level_is_that_of_the_frame_without_its_padding() -> None:
    picture = np.full((20, 20), 10, np.uint8)
    picture[:10] = 30
    reducer = Reducer(picture, lay_tiles((20, 20), CARD.model_copy(update={"input_px": (256, 256)})))
    reducer.fill(picture)
    assert reducer.level == pytest.approx(20)
