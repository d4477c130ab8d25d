"""Regions from a detector's boxes: none outside the frame, none twice, in bounded time."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import Found
from shadowline.errors import EngineError
from station.regions import Named
from station.regions.detector import MOST_BOXES
from tests.finder_files import finder_card
from tests.finders import boxes_of, opened, stepped

DETECTOR = finder_card("detector", threshold=0.5, nms_iou=0.6)
FRAME = np.full((240, 320), 200, np.uint8)


def found(answer: Any, frame: NDArray[np.uint8] = FRAME, facts: dict[str, Any] | None = None, **table: Any) -> Any:
    with opened(DETECTOR.model_copy(update=facts or {}), answer, **table) as finder:
        return finder.find(frame)


def test_boxes_labels_and_scores() -> None:
    regions = found(stepped([[10, 20, 40, 60], [100, 100, 200, 180], [0, 0, 9, 9]], [0.9, 0.8, 0.5], [1, 0, 0]))
    assert boxes_of(regions) == [[100, 100, 100, 80], [10, 20, 30, 40]]
    assert regions.area.tolist() == [8000, 1200]
    assert regions.centroid.tolist() == [[149.5, 139.5], [24.5, 39.5]]
    assert regions.depth.tolist() == [0, 0]
    assert regions.found_by == ("detector", "detector")
    assert regions.score.tolist() == pytest.approx([0.8, 0.9])
    assert [named.label for named in regions.named] == ["hole", "stain"]
    assert not any(named.confirm for named in regions.named)


@pytest.mark.parametrize(("naming", "named"), [("confirm", Named("stain", 0.75, True)), ("replace", None)])
def test_naming(naming: str, named: Named | None) -> None:
    assert found(stepped([[10, 20, 40, 60]], [0.75], [1]), naming=naming).named == (named,)


def test_the_threshold_is_the_configurations() -> None:
    answer = stepped([[0, 0, 9, 9], [50, 50, 80, 80]], [0.6, 0.2], [0, 0])
    assert [len(found(answer, threshold=value)) for value in (0.1, 0.4, 0.7)] == [2, 1, 0]


def test_boxes_are_scaled_to_frame_pixels() -> None:
    answer = stepped([[10, 20, 40, 60]], [0.9], [0])
    assert boxes_of(found(answer, scale=2.0)) == [[20, 40, 60, 80]]
    assert boxes_of(found(answer, scale=(2.0, 0.5))) == [[20, 10, 60, 20]]


OUTSIDE = {
    "over the corner": ([-20, -10, 30, 40], [[0, 0, 30, 40]]),
    "larger than the frame": ([-50, -50, 1000, 1000], [[0, 0, 320, 240]]),
    "left of it": ([-50, 10, -5, 40], []),
    "below it": ([10, 240, 50, 300], []),
    "in the padding beyond it": ([10, 239.8, 50, 245], []),
    "empty": ([50, 50, 50, 80], []),
    "inside out": ([80, 80, 50, 50], []),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_boxes_outside_the_picture_are_cut_off_or_dropped(case: str) -> None:
    box, expected = OUTSIDE[case]
    regions = found(stepped([[float(value) for value in box]], [0.9], [0]))
    assert (boxes_of(regions), regions.invalid) == (expected, None)


TWICE: dict[str, tuple[dict[str, Any], int]] = {
    "of one label are one": ({"labels": [0, 0]}, 1),
    "of two labels are two": ({"labels": [0, 1]}, 2),
    "may overlap more": ({"labels": [0, 0], "nms_iou": 0.9}, 2),
    "may overlap as they like": ({"labels": [0, 0], "nms_iou": 1.0}, 2),
}


@pytest.mark.parametrize("case", TWICE)
def test_boxes_that_overlap(case: str) -> None:
    table, count = TWICE[case]
    labels = table.pop("labels") if "labels" in (table := dict(table)) else [0, 0]
    regions = found(stepped([[10, 10, 60, 60], [12, 12, 62, 62]], [0.7, 0.9], labels), **table)
    assert len(regions) == count
    assert regions.score.max() == pytest.approx(0.9)


def spots(count: int) -> Any:
    """Return a detector that sees the pixels of each number up to `count` as a box of its own, tile by tile."""

    def answer(frames: NDArray[np.uint8]) -> Found:
        boxes, scores = np.zeros((len(frames), count, 4), np.float32), np.zeros((len(frames), count), np.float32)
        for tile, number in np.ndindex(len(frames), count):
            rows, columns = np.nonzero(frames[tile, 0] == number + 1)
            if len(rows):
                boxes[tile, number] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                scores[tile, number] = 0.9
        return {"boxes": boxes, "scores": scores, "labels": np.zeros(scores.shape, np.int64)}

    return answer


def drawn(places: list[tuple[int, int, int, int]]) -> NDArray[np.uint8]:
    """Return a frame in which the pixels of each place are its number, from 1 on."""
    frame = FRAME.copy()
    for number, (x, y, w, h) in enumerate(places, 1):
        frame[y : y + h, x : x + w] = number
    return frame


@pytest.mark.parametrize("overlap_px", [16, 24, 48])
@pytest.mark.parametrize("nms_iou", [0.6, 1.0])
def test_what_several_tiles_see_is_one_region(overlap_px: int, nms_iou: float) -> None:
    places = [(60, 90, 140, 30), (20, 40, 16, 190), (250, 100, 30, 30), (5, 5, 20, 20), (290, 100, 12, 30)]
    facts = {"input_px": (96, 96), "overlap_px": overlap_px, "nms_iou": nms_iou}
    assert boxes_of(found(spots(len(places)), drawn(places), facts)) == [list(place) for place in places]


def test_a_long_defect_over_many_tiles_is_whole() -> None:
    frame = drawn([(10, 100, 300, 20)])
    assert boxes_of(found(spots(1), frame, {"input_px": (96, 96), "overlap_px": 24})) == [[10, 100, 300, 20]]


def test_two_defects_side_by_side_stay_two() -> None:
    frame = drawn([(75, 20, 20, 20), (98, 20, 20, 20)])
    assert len(found(spots(2), frame, {"input_px": (96, 96), "overlap_px": 24})) == 2


@pytest.mark.parametrize("where", ["boxes", "scores"])
def test_answers_that_are_no_numbers_make_the_frame_invalid(where: str) -> None:
    def answer(frames: NDArray[np.uint8]) -> Found:
        answers = dict(stepped([[10, 20, 40, 60]], [0.9], [0])(frames))
        answers[where][0] = np.nan
        return answers

    assert found(answer).invalid == "not_finite"


@pytest.mark.parametrize("count", [513, MOST_BOXES + 1, 10_000])
def test_ten_thousand_boxes_are_over_full(count: int) -> None:
    places = np.random.default_rng(0).uniform(0, 200, (count, 2))
    boxes = np.concatenate([places, places + 3], 1)
    regions = found(stepped(boxes.tolist(), [0.9] * count, [0] * count), nms_iou=1.0)
    assert (len(regions), regions.invalid) == (0, "overfull")


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_the_card_does_not_have_is_a_fault_of_the_engine(label: int) -> None:
    with pytest.raises(EngineError, match=f"drawn-detector: answers with label {label}, its card has 2"):
        found(stepped([[10, 20, 40, 60]], [0.9], [label]))


def test_without_light_nothing_is_judged() -> None:
    assert found(stepped([], [], []), np.zeros((240, 320), np.uint8)).invalid == "dark"


@pytest.mark.parametrize("facts", [{}, {"input_px": (96, 96)}])
def test_a_clean_frame_has_no_regions(facts: dict[str, Any]) -> None:
    regions = found(stepped([], [], []), facts=facts)
    assert (len(regions), regions.invalid) == (0, None)
