"""Two engines of one finder are compared by what they find, cell by cell and box by box."""

import numpy as np
import pytest

from engines import FakeFrameEngine
from engines.frame_parity import FrameParity, compare_frames, refuse_changes
from shadowline.errors import EngineMismatch
from tests.finder_files import finder_card

FRAMES = np.zeros((2, 1, 32, 32), np.uint8)


def compared(card, first, second, other_card=None):
    """Return the comparison of two engines that say of each frame what they are given."""
    with (
        FakeFrameEngine(card, lambda frames: first) as reference,
        FakeFrameEngine(other_card or card, lambda frames: second) as candidate,
    ):
        return compare_frames(reference, candidate, FRAMES)


def heat(*rows):
    return {"heat": np.float32([rows])}


def boxes(*found):
    """Return boxes of x0, y0, x1, y1, score and label."""
    table = np.float32([found]).reshape(1, -1, 6)
    return {"boxes": table[..., :4], "scores": table[..., 4], "labels": table[..., 5].astype(np.int64)}


def test_cells_count_where_only_one_of_the_two_is_over_the_threshold():
    parity = compared(finder_card(), heat([0.1, 0.6], [0.7, 0.4]), heat([0.1, 0.45], [0.9, 0.6]))
    assert (parity.frames, parity.found, parity.changed) == (2, 6, 4)
    assert parity.change_share == pytest.approx(4 / 6)
    assert parity.max_error == pytest.approx(0.2)
    assert parity.mean_error == pytest.approx((0.15 + 0.2 + 0.2) / 4)
    assert min(parity.us_per_frame) > 0


def test_distances_are_held_against_the_range_that_is_shown():
    card = finder_card("anomaly", low=10.0, high=30.0)
    parity = compared(card, heat([10.0, 25.0]), heat([0.0, 15.0]))
    assert parity.max_error == pytest.approx(0.5)
    assert (parity.found, parity.changed) == (2, 2)


FIRST = (0, 0, 10, 10, 0.9, 0)
PAIRS = {
    "the same": ([FIRST], [FIRST], 2, 0, 0.0),
    "a little aside, less sure": ([FIRST], [(1, 0, 11, 10, 0.8, 0)], 2, 0, 0.1),
    "elsewhere": ([FIRST], [(20, 0, 30, 10, 0.9, 0)], 4, 4, 0.0),
    "of another label": ([FIRST], [(0, 0, 10, 10, 0.9, 1)], 4, 4, 0.0),
    "below the threshold": ([FIRST], [(0, 0, 10, 10, 0.4, 0)], 2, 2, 0.0),
    "two for one": ([FIRST], [FIRST, (0, 0, 10, 9, 0.8, 0)], 4, 2, 0.0),
    "nothing at all": ([], [], 0, 0, 0.0),
}


@pytest.mark.parametrize("case", PAIRS)
def test_boxes_are_the_same_where_they_lie_on_each_other_under_one_label(case):
    first, second, found, changed, error = PAIRS[case]
    parity = compared(finder_card("detector"), boxes(*first), boxes(*second))
    assert (parity.found, parity.changed) == (found, changed)
    assert parity.max_error == pytest.approx(error)


def test_engines_of_other_labels_or_kind_are_not_compared():
    with pytest.raises(EngineMismatch, match="the reference heatmap"):
        compared(finder_card(), heat([0.1]), heat([0.1]), finder_card("anomaly"))


def test_what_is_no_number_is_not_compared():
    with pytest.raises(EngineMismatch, match="not finite"):
        compared(finder_card(), heat([0.1]), heat([np.nan]))


def parity_of(found, changed):
    return FrameParity(
        reference="a",
        candidate="b",
        frames=1,
        max_error=0,
        mean_error=0,
        found=found,
        changed=changed,
        us_per_frame=(1, 1),
    )


@pytest.mark.parametrize(
    ("found", "changed", "passes"), [(100, 10, True), (100, 11, False), (1, 1, True), (0, 0, True)]
)
def test_more_changes_than_allowed_are_refused_but_one_is_let_pass(found, changed, passes):
    if passes:
        refuse_changes(parity_of(found, changed), 0.1)
        return
    with pytest.raises(EngineMismatch, match="11 of 100 cells or boxes over the threshold are found by one"):
        refuse_changes(parity_of(found, changed), 0.1)
