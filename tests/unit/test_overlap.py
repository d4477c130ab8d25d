import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.frame import Frame
from station.overlap import Overlap
from station.regions import Regions

ROWS, OVERLAP, WIDTH = 100, 30, 50
"""Rows of a block, and how many of them the block before ended with."""


def regions(*boxes: tuple[int, int, int, int]) -> Regions:
    count = len(boxes)
    return Regions(
        np.array(boxes, np.int32).reshape(-1, 4),
        np.arange(count, dtype=np.int32),
        np.zeros(count, np.float32),
        np.zeros((count, 2), np.float32),
    )


def frame(sequence: int, overlap_rows: int = OVERLAP) -> Frame:
    rows = ROWS + overlap_rows
    return Frame("top", sequence, np.zeros((rows, WIDTH), np.uint8), 0, 0, overlap_rows=overlap_rows)


CASES = {
    "whole in the repeated rows, and told": ((5, 110, 8, 10), (5, 10, 8, 10), []),
    "found a little otherwise": ((5, 110, 8, 10), (6, 11, 8, 9), []),
    "cut at the end of the block before": ((5, 120, 8, 10), (5, 20, 8, 40), [True]),
    "ends just with the block": ((5, 120, 8, 10), (5, 20, 8, 10), []),
    "not told before": ((30, 110, 8, 10), (5, 10, 8, 10), [False]),
    "begins behind the repeated rows": ((5, 110, 8, 10), (5, 31, 8, 10), [False]),
    "goes on from far above": ((5, 0, 8, 130), (5, 0, 8, 60), [True]),
}


@pytest.mark.parametrize(("before", "now", "goes_on"), CASES.values(), ids=CASES)
def test_tells_what_is_news(before, now, goes_on: list[bool]) -> None:  # type: ignore[no-untyped-def]
    overlap = Overlap()
    overlap.sift(frame(1), regions(before))
    kept, marks = overlap.sift(frame(2), regions(now))
    assert (len(kept), marks.tolist()) == (len(goes_on), goes_on)


def test_after_a_missing_block_everything_is_news() -> None:
    overlap = Overlap()
    overlap.sift(frame(1), regions((5, 110, 8, 10)))
    kept, marks = overlap.sift(frame(3), regions((5, 10, 8, 10)))
    assert (len(kept), marks.tolist()) == (1, [False])


def test_without_overlap_nothing_is_touched() -> None:
    overlap = Overlap()
    for sequence in (1, 2):
        found = regions((5, 90, 8, 10), (5, 0, 8, 10))
        kept, marks = overlap.sift(frame(sequence, 0), found)
        assert kept is found
        assert marks.tolist() == [False, False]


@given(st.lists(st.tuples(st.integers(0, 390), st.integers(1, OVERLAP - 2)), min_size=1, max_size=3))
def test_every_defect_that_fits_the_overlap_is_seen_whole_and_counted_once(
    defects: list[tuple[int, int]],
) -> None:
    """Defects side by side, each `height` rows from row `top` of the strip, seen in four blocks of 100 rows."""
    overlap, whole, counted = Overlap(), set[int](), 0
    for block in range(4):
        head = OVERLAP if block else 0
        first, last = block * ROWS - head, (block + 1) * ROWS
        boxes, of = [], []
        for number, (top, height) in enumerate(defects):
            y0, y1 = max(top, first), min(min(top + height, 4 * ROWS), last)
            if y0 < y1:
                boxes.append((number * 15, y0 - first, 9, y1 - y0))
                of.append(number)
        kept, marks = overlap.sift(frame(block + 1, head), regions(*boxes))
        for area, goes_on in zip(kept.area.tolist(), marks.tolist(), strict=True):
            counted += not goes_on
            number = of[area]
            if boxes[area][3] == min(defects[number][0] + defects[number][1], 4 * ROWS) - defects[number][0]:
                whole.add(number)
    assert counted == len(defects)
    assert whole == set(range(len(defects)))
