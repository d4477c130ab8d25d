"""What belongs to a size is made once, for the last two of them."""

import numpy as np

from station.regions.by_size import BySize

SMALL, LARGE, DEEP = np.zeros((2, 2), np.uint8), np.zeros((3, 3), np.uint8), np.zeros((2, 2), np.uint16)


def test_two_sizes_may_take_turns_and_a_third_takes_the_place_of_the_older() -> None:
    made: list[object] = []
    kept = BySize(lambda image: made.append((image.shape, image.dtype.name)) or len(made))
    assert kept.last is None
    assert [kept.of(image) for image in (SMALL, LARGE, SMALL, LARGE, SMALL)] == [1, 2, 1, 2, 1]
    assert kept.last == 1
    assert [kept.of(image) for image in (DEEP, SMALL, LARGE)] == [3, 1, 4]
    assert made == [((2, 2), "uint8"), ((3, 3), "uint8"), ((2, 2), "uint16"), ((3, 3), "uint8")]
