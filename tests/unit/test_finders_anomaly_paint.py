"""Made-up defects in defect-free pictures: what is painted, where, and how large."""

import numpy as np
import pytest

from training.finders.anomaly_paint import PAINTED, paint

SIZE = (3.0, 40.0)


def surface(seed, shape=(96, 128)):
    return np.clip(np.random.default_rng(seed).normal(120, 8, shape), 0, 255).astype(np.uint8)


def painted(seed, kinds=PAINTED, size_px=SIZE):
    return paint(surface(1), surface(2), np.random.default_rng(seed), kinds, size_px)


@pytest.mark.parametrize("kind", PAINTED)
def test_a_defect_changes_the_picture_where_it_is_said_to_be_and_not_far_from_it(kind):
    changed = found_in = 0
    for seed in range(12):
        picture, defect = painted(seed, (kind,))
        assert (picture.dtype, picture.shape, defect.shape) == (np.uint8, (96, 128), (96, 128))
        difference = np.abs(picture.astype(int) - surface(1))
        if defect.any():
            changed += difference[defect].mean() > 2 * difference[~defect].mean()
            found_in += 1
    assert found_in >= 8
    assert changed >= found_in - 1


def test_the_picture_itself_stays_as_it_was():
    image = surface(1)
    paint(image, surface(2), np.random.default_rng(0), PAINTED, SIZE)
    assert np.array_equal(image, surface(1))


def test_the_same_draw_paints_the_same():
    for one, other in zip(painted(7), painted(7), strict=True):
        assert np.array_equal(one, other)


def test_large_sizes_cover_more():
    small, large = (
        np.mean([painted(seed, ("patch",), size)[1].mean() for seed in range(20)]) for size in ((3, 6), (60, 90))
    )
    assert 4 * small < large


def test_a_patch_comes_from_a_picture_of_any_size():
    picture, _ = paint(surface(1), surface(2, (40, 300)), np.random.default_rng(3), ("patch",), SIZE)
    assert picture.shape == (96, 128)
