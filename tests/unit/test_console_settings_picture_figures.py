"""What a picture says of light and focus."""

import base64

import cv2
import numpy as np
import pytest

from shadowline.errors import PictureError
from station.console.settings.picture_figures import PictureFigures, figures_of


def of(image: np.ndarray) -> PictureFigures:
    return figures_of(cv2.imencode(".png", image)[1].tobytes())


def surface() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (200, 320)).astype(np.uint8)


def test_focus_falls_with_blur_and_not_with_light() -> None:
    sharp, blurred = surface(), cv2.GaussianBlur(surface(), (0, 0), 2.0)
    assert of(blurred).sharpness < of(sharp).sharpness / 4
    assert of((sharp * 0.5).astype(np.uint8)).sharpness == pytest.approx(of(sharp).sharpness, rel=0.1)


def test_light_across_and_its_extremes() -> None:
    image = np.tile(np.linspace(0, 255, 320).astype(np.uint8), (100, 1))
    figures = of(image)
    assert len(figures.across) == 64
    assert figures.across[0] < 5 < 250 < figures.across[-1]
    assert figures.mean_level == pytest.approx(127.5, abs=1)
    assert sum(figures.histogram) == pytest.approx(1.0)
    assert 0 < figures.clipped < 0.02
    assert 0 < figures.black < 0.02


def test_sixteen_bits_are_shown_by_their_upper_eight_and_large_ones_reduced() -> None:
    figures = of(np.full((50, 3000), 100 << 8, np.uint16))
    assert figures.mean_level == 100.0
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(figures.jpeg), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (16, 960)


def test_what_is_no_picture_is_told() -> None:
    with pytest.raises(PictureError, match="can't be decoded"):
        figures_of(b"\xff\xd8\xff\xd9")
