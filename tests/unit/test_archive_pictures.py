import hashlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.model import CropCut
from station.archive.evidence import Picture
from station.archive.pictures import encode_crop, encode_frame
from station.crops import crop_square, cut_crops, whole_image
from station.frame import Image

BOXES = {
    "in the middle": (500, 300, 40, 20),
    "in a corner": (0, 0, 12, 9),
    "a whole strip": (0, 480, 2048, 8),
    "high": (1000, 0, 30, 1000),
    "a speck": (700, 500, 2, 2),
}


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))


def keep_crop(image: Image, defect: int, box: tuple[int, int, int, int], cut: CropCut) -> tuple[Picture, bytes]:
    return encode_crop(image, defect, crop_square(box, cut, *image.shape[::-1]))


def noise(dtype: type = np.uint8) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (1000, 2048), dtype)


@pytest.mark.parametrize("size_px", [64, 96, 512])
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_a_model_sees_in_a_kept_crop_what_it_saw_on_the_line(box: tuple[int, int, int, int], size_px: int) -> None:
    image, cut = noise(), CropCut(size_px=size_px, context=1.5, min_side_px=64)
    seen = cut_crops(image, np.array([box], np.int32), cut, np.empty((1, 1, size_px, size_px), np.uint8))
    kept = pixels(keep_crop(image, 0, box, cut)[1])
    again = cut_crops(kept, whole_image(kept), cut, np.empty_like(seen))
    assert np.array_equal(seen, again)


def test_a_crop_has_the_pixels_of_the_frame() -> None:
    image, cut = noise(), CropCut(size_px=32, context=2.0, min_side_px=64)
    picture, content = keep_crop(image, 3, (500, 300, 100, 20), cut)
    x, y, width, height = picture.box_px
    assert (picture.file, picture.scale, picture.defect) == ("crop-003.png", 1, 3)
    assert np.array_equal(pixels(content), image[y : y + height, x : x + width])
    assert (picture.bytes, picture.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_very_large_crop_says_its_scale() -> None:
    image = np.zeros((3000, 4096), np.uint8)
    picture, content = keep_crop(image, 0, (0, 0, 3000, 2900), CropCut(size_px=32, context=1.0, min_side_px=32))
    assert picture.scale == 4
    assert pixels(content).shape == (picture.box_px[3] // 4, picture.box_px[2] // 4)


def test_sixteen_bits_stay_in_a_crop_and_lose_their_lower_half_in_a_frame() -> None:
    image = noise(np.uint16)
    crop = pixels(keep_crop(image, 0, (10, 10, 40, 40), CropCut(size_px=32, context=1.0, min_side_px=32))[1])
    picture, content = encode_frame(image)
    assert crop.dtype == np.uint16
    assert np.array_equal(crop, image[10:50, 10:50])
    frame = pixels(content)
    assert (frame.dtype, frame.shape, picture.defect) == (np.uint8, image.shape, None)
    assert np.abs(frame.astype(int) - image // 256).mean() < 20
