"""Matching and average precision against cases worked out by hand, and against COCO's own sum."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from training.assess.matching import IOUS, Boxed, _coco, average_precisions, match, overlaps

ONCE = np.ones((1, 1), np.float32)


def boxed(*rows):
    """Return boxes given as label, box and score."""
    labels, boxes, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return Boxed(np.array(boxes, np.int32).reshape(-1, 4), tuple(labels), np.array(scores, np.float64))


def ap(marked, found, label="a", iou=0.5):
    weights = np.ones((1, len(marked)), np.float32)
    return average_precisions(match(marked, found, [label])[label], iou, weights)[0]


def test_intersection_over_union():
    one, other = np.array([[0, 0, 10, 10]], np.int32), np.array([[5, 0, 10, 10], [20, 0, 1, 1]], np.int32)
    assert overlaps(one, other) == pytest.approx(np.array([[1 / 3, 0]]))
    assert overlaps(one, other[:0]).shape == (1, 0)


def test_the_surest_box_takes_what_it_overlaps_most():
    marked = [boxed(("a", (0, 0, 10, 10), 1), ("a", (20, 0, 10, 10), 1))]
    found = [boxed(("a", (1, 0, 10, 10), 0.6), ("a", (0, 0, 10, 10), 0.9), ("a", (20, 2, 10, 10), 0.5))]
    matches = match(marked, found, ["a"])["a"]
    assert matches.score.tolist() == [0.9, 0.6, 0.5]
    assert matches.hit[IOUS.index(0.5)].tolist() == [True, False, True]
    assert matches.found(0.5).tolist() == [2]


def test_average_precision_of_a_case_by_hand():
    """Two marked; hit, miss, hit by falling score: precision 1 up to recall 0.5, then 2/3: (51 + 50 × 2/3) / 101."""
    marked = [boxed(("a", (0, 0, 10, 10), 1), ("a", (20, 0, 10, 10), 1))]
    found = [boxed(("a", (0, 0, 10, 10), 0.9), ("a", (50, 0, 10, 10), 0.8), ("a", (20, 0, 10, 10), 0.7))]
    assert ap(marked, found) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_loose_overlap_meets_what_half_does_not():
    marked, found = [boxed(("a", (0, 0, 10, 10), 1))], [boxed(("a", (5, 0, 10, 10), 0.9))]
    assert ap(marked, found, iou=0.3) == pytest.approx(1.0)
    assert ap(marked, found, iou=0.5) == 0.0


def test_another_name_is_no_match():
    marked, found = [boxed(("a", (0, 0, 9, 9), 1))], [boxed(("unknown", (0, 0, 9, 9), 0.9), ("b", (0, 0, 9, 9), 0.9))]
    assert ap(marked, found) == 0.0
    assert match(marked, found, ["a"])["a"].score.size == 0


def test_nothing_marked_has_no_average_precision():
    assert np.isnan(ap([boxed()], [boxed(("a", (0, 0, 9, 9), 0.9))]))


def test_found_in_a_picture_without_marks_counts_against_it():
    marked = [boxed(("a", (0, 0, 9, 9), 1)), boxed()]
    found = [boxed(("a", (0, 0, 9, 9), 0.5)), boxed(("a", (0, 0, 9, 9), 0.9))]
    assert ap(marked, found) == pytest.approx(0.5)


def test_a_picture_counts_as_often_as_it_was_drawn():
    marked = [boxed(("a", (0, 0, 9, 9), 1)), boxed(("a", (0, 0, 9, 9), 1))]
    found = [boxed(("a", (0, 0, 9, 9), 0.5)), boxed()]
    matches = match(marked, found, ["a"])["a"]
    weights = np.array([[1, 1], [2, 0], [0, 2]], np.float32)
    assert average_precisions(matches, 0.5, weights) == pytest.approx([51 / 101, 1.0, 0.0])


def test_it_is_the_sum_of_coco():
    rng = np.random.default_rng(1)
    marked, found = [], []
    for _ in range(30):
        truth = np.concatenate([rng.integers(0, 150, (4, 2)), rng.integers(10, 50, (4, 2))], 1)
        near = truth + rng.integers(-8, 9, truth.shape)
        far = np.concatenate([rng.integers(0, 150, (3, 2)), rng.integers(10, 50, (3, 2))], 1)
        labels = rng.choice(["a", "b"], 4)
        marked.append(boxed(*zip(labels, truth.tolist(), np.ones(4), strict=True)))
        rows = zip([*labels, *rng.choice(["a", "b"], 3)], [*near.tolist(), *far.tolist()], rng.random(7), strict=True)
        found.append(boxed(*rows))
    weights = np.ones((1, 30), np.float32)
    own = [average_precisions(one, 0.5, weights)[0] for one in match(marked, found, ["a", "b"]).values()]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(marked, ["a", "b"]), _coco(found, ["a", "b"]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]
    assert own == pytest.approx(precision.mean(0))
    assert 0.1 < own[0] < 0.9
