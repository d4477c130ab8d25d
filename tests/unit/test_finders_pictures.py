"""Training pictures: pixels, boxes and masks go the same way, whatever is done to them."""

import cv2
import numpy as np
import pytest

from tests.drawn_marks import MARKS, write_marked
from training.data.marked import MarkSettings, read_marked
from training.finders.pictures import Drawn, Sample, draw, exact, read_sample
from training.finders.recipe import Augmentation, FinderRecipe

PLAIN = Augmentation(light=0)


def square(side=100, box=(20, 30, 60, 80)):
    """A dark picture with one bright box, marked by box and mask."""
    image = np.full((side, side), 20, np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = 220
    return Sample(image, np.array([box], np.float32), np.array([1]), image > 128)


def seen_boxes(image):
    """The boxes x0, y0, x1, y1 of what is bright."""
    stats = cv2.connectedComponentsWithStats((image > 120).astype(np.uint8))[2][1:, :4]
    return np.array(sorted((x, y, x + w, y + h) for x, y, w, h in stats.tolist()))


def test_serving_sees_the_picture_scaled_and_its_border_continued():
    sample = exact(square(), (64, 96), (2.0, 2.0))
    assert sample.boxes.tolist() == [[10, 15, 30, 40]]
    assert seen_boxes(sample.image).tolist() == [[10, 15, 30, 40]]
    assert (sample.image[:, 60:] == 20).all()
    assert np.array_equal(sample.defect, sample.image > 120)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_and_masks_follow_the_pixels(seed):
    sample = draw(square, (128, 160), (0.8, 0.8), np.random.default_rng(seed), PLAIN)
    for box, seen in zip(sample.boxes, seen_boxes(sample.image), strict=True):
        assert np.abs(box - seen).max() <= 1.5
    assert (sample.defect != (sample.image > 120)).mean() < 0.02


def test_a_picture_much_too_large_is_not_thinned_out():
    lines = np.zeros((400, 400), np.uint8)
    lines[:, ::4] = 240
    fine = Sample(lines, np.array([[100, 100, 300, 300]], np.float32), np.array([0]))
    settings = Augmentation(light=0, zoom=(1, 1), stretch=1)
    sample = draw(lambda: fine, (64, 64), (4.0, 4.0), np.random.default_rng(3), settings)
    assert np.abs(sample.image[8:-8, 8:-8].astype(int) - 60).max() < 12
    assert np.ptp(sample.boxes[0, [0, 2]]) == pytest.approx(50, abs=1)


def test_a_mosaic_shows_parts_of_four_pictures_with_their_boxes():
    found = [draw(square, (160, 160), (1.0, 1.0), np.random.default_rng(n), PLAIN, mosaic=1.0) for n in range(8)]
    assert max(len(sample.boxes) for sample in found) >= 3
    for sample in found:
        for x0, y0, x1, y1 in np.rint(sample.boxes).astype(int).tolist():
            assert (sample.image[y0:y1, x0:x1] > 120).mean() > 0.85


def test_what_is_hardly_left_of_a_box_is_not_marked():
    sample = exact(square(box=(60, 10, 100, 30)), (64, 64), (1.0, 1.0))
    assert len(sample.boxes) == 0


def test_turns_can_be_left_out():
    settings = Augmentation(turns=False, light=0, zoom=(1, 1), stretch=1)
    wide = square(box=(10, 40, 90, 50))
    boxes = [draw(lambda: wide, (100, 100), (1, 1), np.random.default_rng(n), settings).boxes[0] for n in range(9)]
    assert all(x1 - x0 > 70 for x0, _, x1, _ in boxes)


def test_light_changes_the_picture_and_not_its_marks():
    dark, plain = (
        draw(square, (96, 96), (1, 1), np.random.default_rng(5), Augmentation(light=light)) for light in (1.0, 0.0)
    )
    assert np.array_equal(dark.boxes, plain.boxes)
    assert not np.array_equal(dark.image, plain.image)


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    root = write_marked(tmp_path_factory.mktemp("marked"), 6)
    return read_marked(root, MarkSettings(pictures="pictures", yolo="yolo"))[0]


def test_a_batch_is_drawn_from_its_number_alone(marked):
    recipe = FinderRecipe(batch=3, input_px=(96, 96), augment=Augmentation(mosaic=1.0))
    drawn = Drawn(marked, MARKS, recipe, plain_from=2)
    first, again, other = drawn[0], drawn[0], drawn[1]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].image, other[0].image)
    assert len(first) == 3


def test_the_last_batches_hold_no_mosaics(marked):
    recipe = FinderRecipe(batch=8, input_px=(96, 96), augment=Augmentation(mosaic=1.0, zoom=(1, 1), stretch=1))
    drawn = Drawn(marked, MARKS, recipe, plain_from=1)
    boxes = [[len(sample.boxes) for sample in drawn[number]] for number in (0, 1)]
    assert max(boxes[0]) > 2 >= max(boxes[1])


def test_boxes_of_other_labels_are_left_out(marked):
    kinds = [read_sample(picture, ("bar",)).classes.tolist() for picture in marked]
    assert {number for row in kinds for number in row} == {0}
    assert sum(map(len, kinds)) < sum(len(picture.labels) for picture in marked)


@pytest.mark.parametrize("seed", range(12))
def test_a_window_of_a_marked_picture_shows_one_of_its_marks(seed: int) -> None:
    image = np.full((400, 400), 120, np.uint8)
    spot = Sample(image, np.array([[370, 20, 380, 30]], np.float32), np.zeros(1, np.int64))
    drawn = draw(lambda: spot, (96, 96), (1.0, 1.0), np.random.default_rng(seed), PLAIN)
    assert len(drawn.boxes) == 1
