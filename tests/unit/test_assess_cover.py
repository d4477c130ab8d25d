"""Where regions lie against marks, whatever they are called."""

import numpy as np
import pytest

from training.assess.cover import by_boxes, by_mask


def boxes(*rows):
    return np.array(rows, np.int32).reshape(-1, 4)


def test_a_box_is_met_from_an_overlap_of_three_tenths_on():
    marked = boxes((0, 0, 10, 10), (40, 40, 10, 10))
    cover = by_boxes(marked, boxes((5, 0, 10, 10), (0, 80, 5, 5), (7, 0, 10, 10)), (100, 100))
    assert cover.met.tolist() == [True, False]
    assert cover.false.tolist() == [False, True, True]
    assert cover.part == pytest.approx((120 + 25) / 10_000)


def test_two_regions_may_meet_one_box_and_one_region_two():
    marked = boxes((0, 0, 10, 10), (0, 10, 10, 10))
    assert by_boxes(marked, boxes((0, 0, 10, 20)), (50, 50)).met.all()
    assert not by_boxes(marked[:1], boxes((0, 0, 10, 9), (0, 1, 10, 9)), (50, 50)).false.any()


def test_nothing_marked_and_nothing_found():
    assert by_boxes(boxes(), boxes((0, 0, 5, 5)), (50, 50)).false.tolist() == [True]
    assert by_boxes(boxes((0, 0, 5, 5)), boxes(), (50, 50)).met.tolist() == [False]
    assert by_boxes(boxes(), boxes(), (50, 50)).part == 0


def test_a_component_is_met_when_a_fifth_is_covered():
    defect = np.zeros((50, 50), np.bool_)
    defect[0, 0:10] = True
    defect[20, 0:10] = True
    cover = by_mask(defect, boxes((0, 0, 2, 5), (9, 20, 1, 1), (30, 30, 5, 5)))
    assert cover.met.tolist() == [True, False]
    assert cover.false.tolist() == [False, False, True]
    assert cover.boxes.tolist() == [[0, 0, 10, 1], [0, 20, 10, 1]]


def test_components_hang_together_by_corners_too():
    defect = np.eye(10, dtype=np.bool_)
    assert by_mask(defect, boxes((0, 0, 2, 2))).met.tolist() == [True]
    assert by_mask(defect, boxes((0, 0, 1, 1))).met.tolist() == [False]


def test_a_good_picture_makes_every_region_false():
    assert by_mask(np.zeros((20, 20), np.bool_), boxes((0, 0, 9, 9), (1, 1, 2, 2))).false.tolist() == [True, True]
