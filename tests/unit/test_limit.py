"""A limit is chosen from counts, says how sure it is, and is refused where too little was counted."""

import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.limit import LEAST_COUNT, Counts, choose, clustering, poisson_interval, suspects
from shadowline.errors import CalibrationError

SIGMAS = np.geomspace(1, 10, 20)


def rate_at(sigma: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """False regions a metre of the surface that the tests draw."""
    return np.asarray(2000 * np.exp(-2 * np.asarray(sigma, np.float64)))


def counted(frames: int, seed: int = 1, zones: int = 1, metres: float = 0.5) -> Counts:
    mean = rate_at(SIGMAS)[:, None, None] * metres / zones * np.ones((1, frames, zones))
    return Counts(SIGMAS, np.random.default_rng(seed).poisson(mean), np.full(frames, metres))


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0, 3.689), (5, 1.623, 11.668), (10, 4.795, 18.390), (100, 81.364, 121.627)]
)
def test_the_interval_is_that_of_the_tables(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), rel=0.01, abs=0.01)


@pytest.mark.parametrize("rate", [0.5, 5.0, 60.0])
@pytest.mark.parametrize("zones", [1, 3])
def test_the_limit_is_where_the_rate_is(rate: float, zones: int) -> None:
    choice = choose(counted(400, zones=zones), rate, "metre")
    assert len(choice.sigmas) == zones
    assert rate_at(np.array(choice.sigmas)).mean() == pytest.approx(rate, rel=0.2)
    assert choice.low < rate < choice.high


def test_the_interval_holds_the_true_rate_nineteen_times_of_twenty() -> None:
    choices = [choose(counted(100, seed), 1.0, "metre") for seed in range(200)]
    held = [choice.low <= float(rate_at(choice.sigmas[0])) <= choice.high for choice in choices]
    assert np.mean(held) > 0.9


def test_too_few_frames_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(CalibrationError, match=r"too few for 0\.5 false regions a metre") as refused:
        choose(counted(20), 0.5, "metre")
    needed = re.search(r"take (\d+) frames", str(refused.value))
    assert needed is not None
    assert int(needed[1]) == pytest.approx(LEAST_COUNT / 0.5 / 0.5, rel=0.5)
    choose(counted(int(needed[1])), 0.5, "metre")
    with pytest.raises(CalibrationError, match="in each zone"):
        choose(counted(int(needed[1]), zones=4), 0.5, "metre")


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(CalibrationError, match="a number above 0"):
        choose(counted(100), rate, "frame")


def test_a_rate_beyond_what_was_tried_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"at the loosest limit there are only .* lower these"):
        choose(counted(100), 1e4, "metre")
    many = Counts(SIGMAS, np.full((20, 50, 2), 3), np.ones(50))
    with pytest.raises(CalibrationError, match=r"at the strictest limit there are still 3 .* in zone 1"):
        choose(many, 1.0, "frame")


def test_where_counts_leap_the_stricter_limit_is_taken_and_its_rate_told() -> None:
    steps = Counts(
        np.array([2.0, 2.04, 2.08]), np.full((3, 50, 1), 1) * np.array([9, 8, 1])[:, None, None], np.ones(50)
    )
    choice = choose(steps, 3.0, "frame")
    assert choice.sigmas == (2.08,)
    assert choice.rate == 1
    assert choice.low < 1 < choice.high < 3


def test_regions_that_come_in_crowds_make_the_rate_less_sure() -> None:
    single = counted(400)
    crowd = np.random.default_rng(2).binomial(1, 0.1, 400) * 10
    crowded = Counts(SIGMAS, single.found * crowd[None, :, None], single.amount)
    assert clustering(single.found[8, :, 0]) < 2 < 4 < clustering(crowded.found[8, :, 0])
    sure, unsure = choose(single, 5, "metre"), choose(crowded, 5, "metre")
    assert unsure.high - unsure.low > 1.5 * (sure.high - sure.low)


def test_frames_that_noise_does_not_explain_are_suspected_and_no_others() -> None:
    random = np.random.default_rng(3)
    sound = [3 + random.gumbel(0, 0.2, 300) for _ in range(100)]
    assert sum(suspects(strengths).any() for strengths in sound) <= 5
    marred = sound[0].copy()
    marred[[5, 77, 140]] = 9
    assert np.flatnonzero(suspects(marred)).tolist() == [5, 77, 140]
    quiet = np.ones(100)
    quiet[3] = 6
    assert np.flatnonzero(suspects(quiet)).tolist() == [3]
    assert not suspects(np.empty(0)).any()
