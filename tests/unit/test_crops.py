"""The one crop function: what it cuts, at edges and of every kind of picture."""

import inspect

import numpy as np
import pytest

import station.inspector
import training.evaluate
import training.samples
from engines import CropCut
from station.crops import cut_crops, whole_image

CUT = CropCut(size_px=16, context=1.5, min_side_px=24)


def cut(image, box, settings=CUT):
    side = settings.size_px
    return cut_crops(image, np.array([box], np.int32), settings, np.empty((1, 1, side, side), np.uint8))[0, 0]


def columns(height=100, width=160):
    return np.tile(np.arange(width, dtype=np.uint8), (height, 1))


def test_training_and_serving_cut_with_the_same_function():
    used = {vars(module)["cut_crops"] for module in (station.inspector, training.evaluate, training.samples)}
    assert used == {cut_crops}


def test_only_the_crop_module_resizes_pictures_for_the_network():
    for module in (station.inspector, training.evaluate, training.samples):
        assert "cv2.resize" not in inspect.getsource(module)


@pytest.mark.parametrize(
    ("box", "first", "last"),
    [
        pytest.param((60, 40, 32, 10), 52, 100, id="context times the longer side"),
        pytest.param((70, 40, 4, 4), 60, 84, id="a speck is seen with its surroundings"),
        pytest.param((0, 0, 32, 10), 0, 48, id="pushed inside at the left"),
        pytest.param((128, 90, 32, 10), 112, 160, id="pushed inside at the right"),
    ],
)
def test_the_cut_square_stands_where_the_box_says(box, first, last):
    crop = cut(columns(), box)
    scale = (last - first) / CUT.size_px
    centres = first + (np.arange(CUT.size_px) + 0.5) * scale - 0.5
    assert np.abs(crop.astype(float) - centres).max() <= 1.0


def test_a_whole_picture_is_one_crop_of_all_of_it():
    image = columns(64, 64)
    crop = cut(image, whole_image(image)[0])
    assert np.array_equal(crop, image.reshape(16, 4, 16, 4).mean((1, 3)).round().astype(np.uint8))


def test_a_picture_smaller_than_the_square_is_taken_whole_and_nothing_is_made_up():
    image = np.full((10, 12), 77, np.uint8)
    assert (cut(image, (2, 2, 3, 3)) == 77).all()


def test_sixteen_bits_keep_their_upper_eight_whatever_the_picture_holds():
    low = np.full((64, 64), 255, np.uint16)
    high = np.full((64, 64), 0xABCD, np.uint16)
    assert (cut(low, (0, 0, 64, 64)) == 0).all()
    assert (cut(high, (0, 0, 64, 64)) == 0xAB).all()


def test_the_same_scene_in_eight_and_sixteen_bits_makes_the_same_crop():
    image = np.random.default_rng(3).integers(0, 256, (90, 120), np.uint8)
    assert np.array_equal(cut(image, (30, 20, 40, 40)), cut(image.astype(np.uint16) << 8, (30, 20, 40, 40)))


def test_a_strip_of_a_frame_that_is_a_view_is_cut_like_its_copy():
    image = np.random.default_rng(4).integers(0, 256, (100, 200), np.uint8)
    view = image[10:90, 20:180]
    assert np.array_equal(cut(view, (50, 30, 30, 30)), cut(view.copy(), (50, 30, 30, 30)))


def test_fills_the_callers_buffer_and_leaves_the_rest():
    out = np.full((4, 1, 16, 16), 9, np.uint8)
    boxes = np.array([[0, 0, 10, 10], [100, 50, 10, 10]], np.int32)
    crops = cut_crops(columns(), boxes, CUT, out)
    assert crops.shape == (2, 1, 16, 16)
    assert np.shares_memory(crops, out)
    assert (out[2:] == 9).all()


def test_no_boxes_make_no_crops():
    assert cut_crops(columns(), np.empty((0, 4), np.int32), CUT, np.empty((4, 1, 16, 16), np.uint8)).shape[0] == 0
