"""The background follows light and texture slowly, and defects stay out of it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shadowline.kernel_cache import load_kernels
from station.config import RegionsConfig
from station.regions.background import Background, sample_level
from station.regions.components import LEVEL, NEVER_BRIGHT, NEVER_DARK

CELL = 16


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    load_kernels()


NO_BOXES = np.empty((0, 4), np.int64)


def surface(level: float, seed: int = 1, height: int = 320, width: int = 640) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 3, (height, width))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def background(**settings: object) -> Background:
    config = RegionsConfig.model_validate({"cell_px": CELL, **settings})
    return Background(config, (320 // CELL, 640 // CELL), 1.0)


def test_starts_from_one_frame_without_its_defects() -> None:
    image = surface(128)
    image[100:140, 200:240] = 20
    image[200:230, 400:450] = 250
    found = background()
    found.start(image)
    assert np.abs(found.level - 127.5).max() < 3
    assert found.noise.max() < 5


def test_follows_slow_drift_and_noise_with_its_time_constant() -> None:
    found = background(update_every_frames=10, time_constant_frames=100)
    found.start(surface(100))
    for step in range(10):
        found.follow(surface(140, seed=step), NO_BOXES)
    assert found.level.mean() == pytest.approx(99.5 + 40 * (1 - np.exp(-1)), abs=0.5)


def test_is_frozen_in_and_next_to_regions() -> None:
    found = background(update_every_frames=100, time_constant_frames=1)
    found.start(surface(100))
    before = found.level.copy()
    found.follow(surface(140), np.array([[160, 96, 32, 32]], np.int64))
    assert np.array_equal(found.level[5:9, 9:13], before[5:9, 9:13])
    assert found.level[0, 0] == pytest.approx(139.5, abs=1)


def test_the_margin_is_the_larger_of_offset_and_noise() -> None:
    quiet = background(contrast=0.0, offset_levels=8, noise_sigmas=1)
    quiet.start(surface(128))
    low, high = quiet.limits()
    assert np.allclose((high - low) / LEVEL, 16, atol=0.1)
    noisy = background(contrast=0.0, offset_levels=0, noise_sigmas=5)
    noisy.start(surface(128))
    low, high = noisy.limits()
    assert np.allclose((high - low) / LEVEL / 2, 5 * 3, atol=2)


def test_contrast_is_a_part_of_the_background() -> None:
    found = background(contrast=0.2, offset_levels=0, noise_sigmas=0)
    found.start(surface(100))
    low, high = found.limits()
    assert np.allclose(low / LEVEL, 99.5 * 0.8, atol=0.7)
    assert np.allclose(high / LEVEL, 99.5 * 1.2, atol=0.7)


def test_polarity_switches_a_side_off() -> None:
    for polarity, side, never in (("dark", 1, NEVER_BRIGHT), ("bright", 0, NEVER_DARK)):
        found = background(polarity=polarity)
        found.start(surface(128))
        assert (found.limits()[side] == never).all()


def test_uint16_has_the_same_background_in_levels() -> None:
    eight, sixteen = background(), background()
    image = surface(128)
    eight.start(image)
    sixteen.start(image.astype(np.uint16) << 8)
    assert np.allclose(eight.level, sixteen.level, atol=0.01)
    assert np.allclose(eight.noise, sixteen.noise, atol=0.3)


def test_sample_level_is_the_mean_of_every_nth_pixel() -> None:
    image = surface(77)
    assert sample_level(image, 16) == pytest.approx(image[::16, ::16].mean())
