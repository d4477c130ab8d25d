from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from station.camera.strip import Strip
from station.frame import Image
from station.picture_quality import measure

STRIP, _ = Strip(640, 400, seed=1, defects_per_frame=3).frame(2)
SIGMAS_PX = [0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0]


def _deep(image: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return image.astype(np.uint16) << 8


@pytest.mark.parametrize("deep", [False, True])
def test_every_blur_makes_it_less_sharp(deep: bool) -> None:
    picture: Image = _deep(STRIP) if deep else STRIP
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in SIGMAS_PX]
    values = [measure(one).sharpness for one in (picture, *blurred)]
    assert all(later < earlier for earlier, later in pairwise(values))
    assert values[-1] < values[0] / 4


@pytest.mark.parametrize("gain", [0.4, 0.7, 1.3, 1.6])
def test_gain_does_not_change_the_sharpness(gain: float) -> None:
    brighter = cv2.convertScaleAbs(STRIP, alpha=gain)
    assert measure(brighter).sharpness == pytest.approx(measure(STRIP).sharpness, rel=0.1)


def test_motion_blurs_along_alone() -> None:
    still, moved = measure(STRIP), measure(cv2.blur(STRIP, (1, 9)))
    assert moved.along < still.along / 2
    assert moved.across > 2 * moved.along


def test_sixteen_bits_are_measured_as_eight() -> None:
    deep, plain = measure(_deep(STRIP)), measure(STRIP)
    assert deep.sharpness == pytest.approx(plain.sharpness, rel=0.01)
    assert deep.mean == pytest.approx(plain.mean, abs=1)
    assert np.array_equal(deep.histogram, plain.histogram)


def test_tells_the_parts_at_both_ends() -> None:
    image = np.full((80, 100), 100, np.uint8)
    image[:, :20], image[:, 20:50] = 0, 255
    quality = measure(image)
    assert (quality.black, quality.saturated) == (0.2, 0.3)
    assert quality.mean == pytest.approx(0.3 * 255 + 0.5 * 100)
    assert quality.histogram[[0, 100, 255]].tolist() == [200, 500, 300]


@pytest.mark.parametrize("bits", [10, 12])
def test_the_highest_level_of_fewer_bits_is_saturated(bits: int) -> None:
    image = np.full((16, 16), (2**bits - 1) << (16 - bits), np.uint16)
    assert measure(image).saturated == 1


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 1)])
def test_the_smallest_pictures_are_measured(shape: tuple[int, int]) -> None:
    assert measure(np.zeros(shape, np.uint8)).sharpness == 0
