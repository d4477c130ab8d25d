"""Every figure of an evaluation, from cases small enough to be worked out by hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.model import UNKNOWN
from station.verdict import Verdict
from training.assess.figures import assess
from training.assess.line import Seen
from training.assess.matching import Boxed
from training.data import Marked


def picture(name, *marks):
    """Return a picture of 100 × 100 with marks given as label and box."""
    boxes = np.array([box for _, box in marks], np.int32).reshape(-1, 4)
    labels = tuple(label for label, _ in marks)
    return Marked(name, Path(name), (100, 100), boxes, labels, None, name, "", name)


def seen(verdict, *found, candidates=None, us=(100, 10, 200, 1)):
    """Return what a station saw: label, box and score of each region."""
    regions = boxed(*found)
    return Seen(verdict, "", regions, regions if candidates is None else boxed(*candidates), np.array(us, float), 300.0)


def boxed(*found):
    boxes = np.array([box for _, box, _ in found], np.int32).reshape(-1, 4)
    scores = np.array([score for *_, score in found], np.float64)
    return Boxed(boxes, tuple(label for label, *_ in found), scores)


def figures(pictures, saw):
    return assess("line", "0" * 64, ["model 1"], pictures, saw)


PICTURES = [
    picture("a", ("rust", (0, 0, 20, 20)), ("hole", (50, 50, 20, 20))),
    picture("b", ("rust", (0, 0, 20, 20))),
    picture("c"),
    picture("d"),
]
SAW = [
    seen(Verdict.REJECT, ("rust", (0, 0, 20, 20), 0.9), (UNKNOWN, (50, 50, 20, 20), 0.4)),
    seen(Verdict.ACCEPT, ("hole", (60, 60, 20, 20), 0.8)),
    seen(Verdict.REJECT, ("hole", (0, 0, 9, 9), 0.7), ("hole", (30, 30, 9, 9), 0.6)),
    seen(Verdict.ACCEPT),
]


def test_recall_and_precision_by_label_as_configured():
    labels = figures(PICTURES, SAW).labels
    rust, hole = labels["rust"], labels["hole"]
    assert (rust.marked, rust.called, rust.recall_50, rust.precision_50) == (2, 1, 0.5, 1.0)
    assert (hole.marked, hole.called, hole.recall_50, hole.precision_50) == (1, 3, 0.0, 0.0)
    assert UNKNOWN not in labels


def test_unknown_meets_a_region_and_never_a_label():
    found = figures(PICTURES, SAW)
    assert found.region_recall.value == pytest.approx(2 / 3)
    assert (found.unknown, found.unknown_met) == (1, 1)


def test_average_precision_is_of_the_candidates():
    saw = [
        seen(Verdict.REJECT, candidates=[("rust", (0, 0, 20, 20), 0.3), ("hole", (50, 50, 20, 20), 0.2)]),
        seen(Verdict.ACCEPT, candidates=[("rust", (0, 0, 20, 20), 0.1)]),
        seen(Verdict.ACCEPT),
        seen(Verdict.ACCEPT),
    ]
    found = figures(PICTURES, saw)
    assert found.map50.value == pytest.approx(1.0)
    assert found.map == pytest.approx(1.0)
    assert found.labels["rust"].recall_50 == 0.0
    assert found.labels["rust"].precision_50 is None
    assert found.regions == 0


def test_rejects_misses_and_escapes_of_1000():
    found = figures(PICTURES, SAW)
    assert (found.good, found.defects) == (2, 3)
    assert found.false_rejects.value == 500
    assert found.missed.value == pytest.approx(1000 / 3)
    assert found.escaped.value == 500
    assert found.false_on_good.value == 1.0
    assert found.regions == pytest.approx(5 / 4)


def test_what_cannot_be_judged_is_a_reject_and_is_counted():
    dark = Seen(Verdict.INVALID, "dark", boxed(), boxed(), np.zeros(4), 0.0)
    found = figures([PICTURES[2]], [dark])
    assert found.invalid == {"dark": 1}
    assert found.false_rejects.value == 1000


def test_without_good_pictures_or_marks_figures_are_missing():
    bad, good = figures(PICTURES[:2], SAW[:2]), figures(PICTURES[2:], SAW[2:])
    assert bad.false_rejects is None
    assert (good.map50, good.map, good.region_recall, good.missed, good.escaped) == (None,) * 5


def test_intervals_hold_the_figure_and_narrow_with_pictures():
    few = figures(PICTURES, SAW).region_recall
    again = [replace(one, path=f"{one.path}-{copy}") for copy in range(20) for one in PICTURES]
    many = figures(again, SAW * 20)
    assert few.low <= few.value <= few.high
    assert many.region_recall.value == pytest.approx(few.value)
    assert many.region_recall.high - many.region_recall.low < few.high - few.low
    assert many.map50.low <= many.map50.value <= many.map50.high


def test_times_are_medians_step_by_step():
    saw = [seen(Verdict.ACCEPT, us=(100 * n, 10, 0, 1)) for n in (1, 2, 30)]
    us = figures([picture(str(n)) for n in range(3)], saw).us
    assert (us.regions, us.crops, us.classify, us.verdict, us.total, us.cpu) == (200, 10, 0, 1, 211, 300)
    assert 2000 < us.total_p99 <= 3011


def test_masks_are_measured_by_cover(tmp_path):
    mask = np.zeros((100, 100), np.uint8)
    mask[10:20, 10:20] = mask[60:62, 60:90] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    boxes = np.array([[10, 10, 10, 10], [60, 60, 30, 2]], np.int32)
    one = Marked("m", Path("m"), (100, 100), boxes, ("rust", "rust"), tmp_path / "m.png", "m", "rust", "m")
    found = figures([one], [seen(Verdict.REJECT, ("rust", (0, 0, 14, 15), 0.9), ("rust", (60, 50, 8, 20), 0.8))])
    assert found.covered.value == 1.0
    assert found.region_recall.value == 0.0
    assert found.missed.value == 0.0
    assert found.defects == 2
    assert found.part == pytest.approx((14 * 15 + 8 * 20) / 10_000)
