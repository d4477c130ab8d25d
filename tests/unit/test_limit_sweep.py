"""False regions are counted by the station's own finder, so that a chosen limit holds on frames it has not seen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import FlatField
from calibration.limit import choose
from shadowline.errors import CalibrationError
from station.config import RegionsConfig
from station.limit_sweep import Sweep
from station.regions import open_finder

HEIGHT, WIDTH = 160, 512
CONFIG = RegionsConfig(contrast=0, offset_levels=1, min_area_px=8, speck_px=2)


def surface(seed: int, rough: bool = False) -> NDArray[np.uint8]:
    """Return noise in uneven light; with `rough` the right half has spots that noise does not make."""
    random = np.random.default_rng(seed)
    image = np.linspace(110, 150, WIDTH) + random.normal(0, 4, (HEIGHT, WIDTH))
    if rough:
        for _ in range(random.poisson(20)):
            x, y = random.integers(WIDTH // 2 + 8, WIDTH - 8), random.integers(8, HEIGHT - 8)
            image[y - 2 : y + 2, x - 2 : x + 2] += random.laplace(0, 8)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def swept(count: int, per_frame: float, zones: int = 1, rough: bool = False) -> Sweep:
    """Count in a few frames at limits far apart, then in `count` of them around `per_frame`."""
    first = Sweep(CONFIG, zones=zones)
    for seed in range(10):
        first.take("", surface(seed, rough))
    sweep = Sweep(CONFIG, None, zones, first.closer(per_frame))
    for seed in range(count):
        sweep.take("", surface(seed, rough))
    return sweep


def zone_rates(config: RegionsConfig, seeds: range, rough: bool) -> NDArray[np.float64]:
    """Return false regions a frame in the left and the right half."""
    finder, found = open_finder(config, None), np.zeros(2)
    for seed in seeds:
        image = surface(seed, rough)
        regions = finder.find(image)
        finder.learn(image)
        found += np.bincount(regions.centroid[:, 0] >= WIDTH / 2, minlength=2)
    return found / len(seeds)


@pytest.mark.slow
def test_a_chosen_limit_holds_on_other_frames() -> None:
    choice = choose(swept(120, 2.0).counts(8), 2.0, "frame")
    config = CONFIG.model_copy(update={"noise_sigmas": choice.sigmas[0]})
    assert zone_rates(config, range(1000, 1100), rough=False).sum() == pytest.approx(2.0, rel=0.4)


@pytest.mark.slow
def test_each_zone_gets_its_share_and_its_limit() -> None:
    choice = choose(swept(120, 4.0, zones=2, rough=True).counts(8), 4.0, "frame")
    assert choice.sigmas[1] > choice.sigmas[0] + 0.5
    config = CONFIG.model_copy(update={"noise_sigmas": choice.sigmas})
    assert zone_rates(config, range(1000, 1100), rough=True) == pytest.approx([2.0, 2.0], rel=0.4)


@pytest.mark.slow
def test_larger_least_areas_allow_lower_limits() -> None:
    sweep = swept(60, 3.0)
    limits = [choose(sweep.counts(area), 3.0, "frame").sigmas[0] for area in (8, 12, 16)]
    assert limits == sorted(limits, reverse=True)


def test_known_defects_are_left_out_and_tell_what_is_found() -> None:
    sweep = Sweep(CONFIG)
    for seed in range(30):
        image = surface(seed)
        image[60:70, 100:130] = 80
        image[20:28, 300:308] -= 15
        sweep.take("marred", image, np.array([[98, 58, 34, 14], [300, 20, 8, 8]], np.int32))
    sweep.check()
    recall = sweep.recall()
    assert recall is not None
    counts = sweep.counts(8)
    strict = int(np.searchsorted(counts.sigmas, 6))
    assert counts.found[strict].sum() == 0
    assert recall.max() > recall[strict] == pytest.approx(0.5, abs=0.1)
    assert recall[-1] == 0
    assert swept(2, 3.0).recall() is None


def test_metres_are_told_by_rows() -> None:
    assert swept(3, 3.0).counts(8, -0.25).amount.tolist() == [0.04] * 3


def test_a_flat_field_is_folded_in() -> None:
    gain = np.ones((HEIGHT, WIDTH), np.float32)
    gain[60:70, 100:110] = 0.6
    plain, flat = Sweep(CONFIG), Sweep(CONFIG, FlatField(gain))
    for seed in range(4):
        dusty = (surface(seed) * gain).astype(np.uint8)
        plain.take("", dusty)
        flat.take("", dusty)
    assert plain.strengths().min() > 8 > 5 > flat.strengths().max()


def test_moving_light_is_refused_unless_frames_are_unrelated() -> None:
    for background in ("running", "frame"):
        sweep = Sweep(CONFIG.model_copy(update={"background": background, "offset_levels": 12}))
        for seed in range(20):
            sweep.take("", surface(seed) + np.uint8(10 * (seed % 2)))
        if background == "running":
            with pytest.raises(CalibrationError, match="the light moves by"):
                sweep.check()
        else:
            sweep.check()


def test_frames_that_cannot_be_judged_are_named_and_if_many_refused() -> None:
    sweep = Sweep(CONFIG)
    with pytest.raises(CalibrationError, match="no frames"):
        sweep.check()
    for seed in range(20):
        sweep.take(f"frame {seed}", surface(seed))
    sweep.take("lamp off", np.zeros((HEIGHT, WIDTH), np.uint8))
    sweep.check()
    assert sweep.invalid == ["lamp off (dark)"]
    assert "lamp off" not in sweep.names
    for _ in range(5):
        sweep.take("lamp off", np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(CalibrationError, match=r"6 of 26 frames can't be judged.*lamp off"):
        sweep.check()
