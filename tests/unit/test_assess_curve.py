"""Marked boxes met over regions a picture, from a case worked out by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from station.verdict import Verdict
from training.assess.curve import curve_chart, curve_of
from training.assess.line import Seen
from training.assess.matching import Boxed
from training.data import Marked
from training.report.theme import LIGHT


def boxed(*rows):
    boxes = np.array([box for box, _ in rows], np.int32).reshape(-1, 4)
    return Boxed(boxes, ("rust",) * len(rows), np.array([score for _, score in rows], np.float64))


def picture(*marks):
    boxes = np.array(marks, np.int32).reshape(-1, 4)
    return Marked("a", Path("a"), (99, 99), boxes, ("rust",) * len(marks), None, "a", "", "a")


PICTURES = [picture((0, 0, 10, 10), (50, 50, 10, 10)), picture((0, 0, 10, 10))]
SAW = [
    Seen(
        Verdict.REJECT,
        "",
        boxed(((0, 0, 10, 10), 0.9)),
        boxed(((0, 0, 10, 10), 0.9), ((80, 80, 9, 9), 0.6), ((50, 50, 10, 10), 0.3)),
        np.zeros(4),
        0.0,
    ),
    Seen(Verdict.ACCEPT, "", boxed(), boxed(), np.zeros(4), 0.0),
]


def test_each_further_region_meets_more_or_nothing():
    curve = curve_of("line", PICTURES, SAW)
    assert curve.regions.tolist() == [0.5, 1.0, 1.5]
    assert curve.met == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert curve.configured == pytest.approx((0.5, 1 / 3))


def test_nothing_found_and_nothing_marked_can_be_drawn():
    empty = Seen(Verdict.ACCEPT, "", boxed(), boxed(), np.zeros(4), 0.0)
    curves = [curve_of("line", PICTURES, SAW), curve_of("blind", [picture()], [empty])]
    chart = cv2.imdecode(np.frombuffer(curve_chart(curves, LIGHT), np.uint8), cv2.IMREAD_COLOR)
    assert chart.shape[2] == 3
    assert len(np.unique(chart)) > 10
