"""Repeat distances: roll marks are found and named, chance is not, whatever the order, slip and gaps."""

import numpy as np
import pytest

from calibration.periodic import Repeat, Roll, find_repeats
from tests.benchmarks.periodic import (
    LANE_MM,
    ROLLS,
    TURN_MM,
    clustered_coil,
    find,
    is_right,
    join,
    random_coil,
    with_marks,
)


@pytest.mark.parametrize("seed", range(10))
def test_the_right_roll_is_named_within_20_turns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = find(with_marks(rng, random_coil(rng, 1e6), 20, rng.uniform(0, 9e5), missing=0.1))
    assert is_right(found)
    assert len(found) == 1
    assert abs(found[0].distance_mm - TURN_MM) < 2
    assert found[0].false_alarm <= 1e-3


def test_no_roll_is_named_on_random_coils() -> None:
    rng = np.random.default_rng(1)
    assert [find(random_coil(rng, 1e6)) for _ in range(100)] == [[]] * 100


def test_files_of_defects_along_the_strip_are_no_repeats() -> None:
    rng = np.random.default_rng(2)
    assert [find(clustered_coil(rng, 1e6)) for _ in range(20)] == [[]] * 20


def test_two_rolls_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    another = (2e5 + np.arange(30) * np.pi * 400.0, np.full(30, 900.0))
    found = find(join([with_marks(rng, random_coil(rng, 1e6), 30, 1e5), another]))
    assert {repeat.rolls for repeat in found} == {("work roll top",), ("pinch",)}


def test_the_marks_are_rows_of_the_input() -> None:
    rng = np.random.default_rng(4)
    along, across = with_marks(rng, random_coil(rng, 1e5), 20, 1e4)
    order = rng.permutation(len(along))
    (found,) = find((along[order], across[order]))
    assert set(order[list(found.marks)]) >= set(range(len(along) - 20, len(along)))
    assert found.start_mm == along[order][list(found.marks)].min()
    assert found.missing == 0


def test_missing_marks_are_counted() -> None:
    along = 1000.0 * np.delete(np.arange(20), [4, 9, 10])
    (found,) = find_repeats(along, np.zeros(17), LANE_MM)
    assert (found.missing, len(found.marks), found.rolls) == (3, 17, ())
    assert found.distance_mm == pytest.approx(1000.0)
    assert found.spread_mm == pytest.approx(0.0, abs=1e-6)


def test_a_mark_in_fragments_is_one() -> None:
    rng = np.random.default_rng(5)
    turns = 1e4 + np.arange(30) * TURN_MM
    parts = [(turns + rng.uniform(0, 15, 30), 500 + rng.normal(0, 3, 30)) for _ in range(4)]
    found = find(join([random_coil(rng, 1e5), *parts]))
    assert is_right(found)
    assert len(found) == 1


def test_marks_that_wander_across_are_none() -> None:
    rng = np.random.default_rng(6)
    along, across = np.arange(20) * TURN_MM, rng.uniform(0, 1200, 20)
    assert find((along, across)) == []


def test_rolls_that_fit_alike_are_all_named_the_nearest_first() -> None:
    rolls = (Roll("b", 201.0), Roll("far", 210.0), Roll("a", 200.0))
    found = find_repeats(np.arange(20) * 628.4, np.zeros(20), LANE_MM, rolls)
    assert found[0].rolls == ("a", "b")


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_defects_repeat_nothing(count: int) -> None:
    assert find_repeats(np.arange(count) * 628.0, np.zeros(count), LANE_MM, ROLLS) == []


def test_defects_at_one_place_are_no_repeat() -> None:
    assert find_repeats(np.zeros(500), np.zeros(500), LANE_MM, ROLLS) == []


def test_all_over_the_strip_nothing_is_told() -> None:
    rng = np.random.default_rng(8)
    found: list[Repeat] = find(random_coil(rng, 1e4, 5000))
    assert found == []
