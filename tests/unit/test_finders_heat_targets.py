"""What a heat map should say of a picture: hot in the middle of boxes, hot under masks, a map a class."""

import numpy as np
from numpy.typing import NDArray

from training.finders.heat_targets import target_heat
from training.finders.pictures import Sample


def sample_of(
    boxes: list[list[float]], classes: list[int] | None = None, defect: NDArray[np.bool_] | None = None
) -> Sample:
    """Return a picture of 64×32 with boxes x0, y0, x1, y1."""
    numbers = np.array(classes or [0] * len(boxes), np.int64)
    return Sample(np.zeros((32, 64), np.uint8), np.array(boxes, np.float32).reshape(-1, 4), numbers, defect)


def test_boxes_that_touch_are_two_regions_above_a_half() -> None:
    heat = target_heat(sample_of([[0, 0, 32, 32], [32, 0, 64, 32]]), 1, 4)
    assert heat.shape == (1, 8, 16)
    assert heat.dtype == np.float32
    row = heat[0, 4] > 0.5
    assert np.flatnonzero(np.diff(row.astype(int))).tolist() == [0, 6, 8, 14]
    assert heat[0, 4, 4] == 1


def test_a_box_smaller_than_a_cell_still_heats_one() -> None:
    heat = target_heat(sample_of([[21, 9, 23, 11]]), 1, 8)
    assert heat.max() > 0.5
    assert (heat > 0.5).sum() == 1


def test_each_class_has_its_own_map() -> None:
    heat = target_heat(sample_of([[0, 0, 32, 32], [40, 8, 56, 24]], [1, 0]), 3, 8)
    assert heat.shape == (3, 4, 8)
    assert (heat[0, :, :4] == 0).all()
    assert (heat[1, :, 4:] == 0).all()
    assert (heat[2] == 0).all()
    assert heat[0].max() > 0.5 < heat[1].max()


def test_a_mask_is_the_heat_and_a_thin_crack_fills_its_cells() -> None:
    defect = np.zeros((32, 64), np.bool_)
    defect[:, 9:11] = True
    heat = target_heat(sample_of([[9, 0, 11, 32]], defect=defect), 1, 8)
    assert (heat[0, :, 1] == 1).all()
    assert heat.sum() == 4


def test_a_mask_can_be_widened_by_cells() -> None:
    defect = np.zeros((32, 64), np.bool_)
    defect[8:16, 16:24] = True
    heat = target_heat(sample_of([], defect=defect), 1, 8, widened=1)
    assert heat[0].sum() == 9
    assert (heat[0, 0:3, 1:4] == 1).all()


def test_a_mask_bounds_the_boxes_of_several_maps() -> None:
    defect = np.zeros((32, 64), np.bool_)
    defect[8:16, 8:56] = True
    heat = target_heat(sample_of([[0, 0, 32, 32], [32, 0, 64, 32]], [0, 1], defect), 2, 8)
    assert np.argwhere(heat[0]).tolist() == [[1, 1], [1, 2], [1, 3]]
    assert np.argwhere(heat[1]).tolist() == [[1, 4], [1, 5], [1, 6]]


def test_nothing_marked_is_nothing_hot() -> None:
    assert not target_heat(sample_of([]), 2, 4).any()
