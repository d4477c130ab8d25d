"""What is drawn: marks met and missed, regions right and false, in their colours; the worst first."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from station.verdict import Verdict
from training.assess.drawing import draw_seen, false_alarm_sheet, miss_sheet
from training.assess.line import Seen
from training.assess.matching import Boxed
from training.data import Marked

GREEN, RED, BLUE, ORANGE = (120, 190, 60), (60, 60, 235), (235, 175, 75), (60, 165, 255)


def boxes(*rows):
    return np.array(rows, np.int32).reshape(-1, 4)


def colours(picture):
    return set(map(tuple, picture.reshape(-1, 3).tolist()))


@pytest.fixture
def picture_of(tmp_path):
    def make(name, *marks, side_px=100):
        file = tmp_path / f"{name}.png"
        cv2.imwrite(str(file), np.full((side_px // 2, side_px), 128, np.uint8))
        size = (side_px, side_px // 2)
        return Marked(name, Path(file), size, boxes(*marks), ("rust",) * len(marks), None, name, "", name)

    return make


def saw(*regions):
    found = Boxed(boxes(*regions), ("rust",) * len(regions), np.linspace(0.9, 0.1, len(regions)))
    return Seen(Verdict.REJECT, "", found, found, np.zeros(4), 0.0)


@pytest.mark.parametrize(
    ("marks", "regions", "seen"),
    [
        ([(10, 10, 20, 20)], [(10, 10, 20, 22)], {GREEN, BLUE}),
        ([(10, 10, 20, 20)], [], {RED}),
        ([], [(60, 10, 20, 20)], {ORANGE}),
    ],
)
def test_colours_tell_what_was_met(picture_of, marks, regions, seen):
    drawn = draw_seen(picture_of("a", *marks), saw(*regions))
    assert colours(drawn) & {GREEN, RED, BLUE, ORANGE} == seen


@pytest.mark.parametrize(("side_px", "drawn_px"), [(100, 500), (600, 600), (2048, 1280)])
def test_pictures_are_of_a_size_to_look_at(picture_of, side_px, drawn_px):
    drawn = draw_seen(picture_of("a", (10, 10, 20, 20), side_px=side_px), saw())
    assert drawn.shape == (drawn_px // 2, drawn_px, 3)
    x = round(10 * drawn_px / side_px)
    assert tuple(drawn[x + 3, x].tolist()) == RED


def test_the_worst_misses_come_and_clean_pictures_do_not(picture_of):
    pictures = [picture_of("met", (10, 10, 20, 20)), picture_of("missed", (10, 10, 20, 20))]
    sheet = miss_sheet(pictures, [saw((10, 10, 20, 20)), saw()])
    assert RED in colours(sheet)
    assert GREEN not in colours(sheet)
    assert miss_sheet(pictures[:1], [saw((10, 10, 20, 20))]) is None


def test_false_alarms_come_alone(picture_of):
    pictures = [picture_of("good"), picture_of("met", (10, 10, 20, 20))]
    sheet = false_alarm_sheet(pictures, [saw((10, 10, 20, 20)), saw((10, 10, 20, 20))])
    assert ORANGE in colours(sheet)
    assert GREEN not in colours(sheet)
    assert false_alarm_sheet(pictures[1:], [saw((10, 10, 20, 20))]) is None
