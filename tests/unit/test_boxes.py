"""How boxes overlap and hang together."""

import numpy as np

from station.regions.boxes import areas, common, corners_of, groups_of


def test_common_area() -> None:
    corners = corners_of(np.array([[0, 0, 10, 10], [5, 5, 10, 10], [40, 0, 5, 5]], np.int32))
    assert areas(corners).tolist() == [100, 100, 25]
    assert common(corners).tolist() == [[100, 25, 0], [25, 100, 0], [0, 0, 25]]


def test_groups_hold_together_over_others() -> None:
    linked = np.zeros((6, 6), np.bool_)
    for first, second in ((0, 3), (3, 5), (1, 4)):
        linked[first, second] = linked[second, first] = True
    assert groups_of(linked) == [[0, 3, 5], [1, 4], [2]]
    assert groups_of(np.zeros((0, 0), np.bool_)) == []
