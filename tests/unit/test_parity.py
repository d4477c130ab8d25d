"""Parity of engines with known answers: errors, flips label by label, accuracy, and what is refused."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import Answers, CropCut, FakeEngine
from engines.parity import LabelParity, Parity, compare, refuse_flips
from shadowline.errors import EngineMismatch

LABELS = ("crack", "pit", "scale")
CUT = CropCut(size_px=16, context=1.0, min_side_px=16)
SURE = 0.8
"""Probability of the label that is meant; the rest is shared."""


def probabilities_of(numbers: NDArray[np.int64], count: int = len(LABELS)) -> NDArray[np.float32]:
    rows = np.full((len(numbers), count), (1 - SURE) / (count - 1), np.float32)
    rows[np.arange(len(numbers)), numbers] = SURE
    return rows


def crops_of(numbers: Sequence[int]) -> NDArray[np.uint8]:
    """Return one crop for each label number: the number is its grey level."""
    return np.broadcast_to(np.array(numbers, np.uint8)[:, None, None, None], (len(numbers), 1, 16, 16)).copy()


def level(crops: NDArray[np.uint8]) -> NDArray[np.int64]:
    return crops[:, 0, 0, 0].astype(np.int64)


def reading(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Name each crop by its lower two bits."""
    return probabilities_of(level(crops) & 3)


def misreading(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Name each crop by its lower two bits, or by the next two, less one, where they are set."""
    return probabilities_of(np.where(level(crops) >> 2, (level(crops) >> 2) - 1, level(crops) & 3))


def slipped(numbers: Sequence[int], become: int) -> list[int]:
    """Return the levels of crops that are `numbers`, and that `misreading` takes for `become`."""
    return [number | (become + 1) << 2 for number in numbers]


def parity_of(levels: Sequence[int], truth: Sequence[str] | None = None, candidate: FakeEngine | None = None) -> Parity:
    with ExitStack() as opened:
        reference = opened.enter_context(FakeEngine(LABELS, reading, CUT))
        other = opened.enter_context(candidate or FakeEngine(LABELS, misreading, CUT))
        return compare(reference, other, crops_of(levels), truth)


def test_equal_engines_differ_by_nothing() -> None:
    parity = parity_of([0, 1, 2, 0])
    assert (parity.max_error, parity.mean_error, parity.flips, parity.flip_share) == (0, 0, 0, 0)
    assert {label: one.crops for label, one in parity.labels.items()} == {"crack": 2, "pit": 1, "scale": 1}
    assert parity.flipped == ()
    assert parity.accuracy is None


def test_errors_are_of_single_probabilities() -> None:
    def lower(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return reading(crops) + np.array([-0.25, 0.25, 0], np.float32)

    parity = parity_of([0, 1], candidate=FakeEngine(LABELS, lower, CUT))
    assert parity.max_error == pytest.approx(0.25)
    assert parity.mean_error == pytest.approx(0.5 / 3)
    assert parity.flips == 0


def test_flips_are_counted_by_label_with_what_they_became() -> None:
    parity = parity_of([0, 0, *slipped([0, 0], 2), *slipped([0], 1), 1, *slipped([1], 2), 2])
    assert parity.labels == {
        "crack": LabelParity(crops=5, flips=3, became={"scale": 2, "pit": 1}),
        "pit": LabelParity(crops=2, flips=1, became={"scale": 1}),
        "scale": LabelParity(crops=1, flips=0),
    }
    assert (parity.crops, parity.flips, parity.flip_share) == (8, 4, 0.5)
    assert parity.flipped == (2, 3, 4, 6)
    assert parity.max_error == pytest.approx(SURE - (1 - SURE) / 2)


def test_at_most_a_hundred_flipped_rows_are_named_and_all_are_counted() -> None:
    parity = parity_of(slipped([0] * 150, 1))
    assert parity.flipped == tuple(range(100))
    assert parity.flips == 150


def test_accuracy_is_of_both_against_the_truth() -> None:
    assert parity_of([0, 1, 2, *slipped([0], 1)], ["crack", "pit", "pit", "pit"]).accuracy == (0.5, 0.75)


def test_a_truth_of_another_length_is_no_truth() -> None:
    with pytest.raises(ValueError, match="shorter"):
        parity_of([0, 1], ["crack"])


def test_the_time_is_taken_of_both_in_every_batch() -> None:
    parity = parity_of([0])
    assert parity.us_per_crop.keys() == {1, 8, 32}
    assert all(time > 0 for both in parity.us_per_crop.values() for time in both)


def test_it_comes_back_from_its_json() -> None:
    parity = parity_of([0, *slipped([1], 2)], ["crack", "pit"])
    assert Parity.model_validate_json(parity.model_dump_json()) == parity


def novel_by(number: float, limit: float | None = 10.0) -> FakeEngine:
    """Return an engine that names as `reading` does and finds each crop as novel as its level and `number` more."""

    def classify(crops: NDArray[np.uint8]) -> Answers:
        return Answers(reading(crops), (level(crops) + number).astype(np.float32))

    return FakeEngine(LABELS, classify, CUT, limit)


def novelty_parity(reference: FakeEngine, candidate: FakeEngine, levels: Sequence[int]) -> Parity:
    with reference, candidate:
        return compare(reference, candidate, crops_of(levels))


@pytest.mark.parametrize(("before", "after"), [(0.0, 4.0), (4.0, 0.0)])
def test_a_crop_that_only_one_finds_too_novel_is_a_flip_of_its_label_to_unknown(before: float, after: float) -> None:
    parity = novelty_parity(novel_by(before), novel_by(after), [0, 4, 8, 8, 9, 12])
    assert parity.labels["crack"] == LabelParity(crops=5, flips=2, became={"unknown": 2})
    assert parity.labels["pit"] == LabelParity(crops=1, flips=1, became={"unknown": 1})
    assert (parity.flips, parity.flipped) == (3, (2, 3, 4))
    assert parity.novelty_error == pytest.approx(0.4)
    assert parity.max_error == 0
    with pytest.raises(EngineMismatch, match=r"3 of 6 crops change their label"):
        refuse_flips(parity, 0.1)


def test_a_crop_that_both_find_too_novel_is_none_unless_its_label_changes() -> None:
    def misnaming(crops: NDArray[np.uint8]) -> Answers:
        return Answers(misreading(crops), np.full(len(crops), 20, np.float32))

    def naming(crops: NDArray[np.uint8]) -> Answers:
        return Answers(reading(crops), np.full(len(crops), 20, np.float32))

    engines = (FakeEngine(LABELS, function, CUT, 10.0) for function in (naming, misnaming))
    parity = novelty_parity(*engines, [0, 1, *slipped([1], 2)])
    assert parity.labels["pit"] == LabelParity(crops=2, flips=1, became={"scale": 1})
    assert (parity.flips, parity.novelty_error) == (1, 0)


def test_each_is_held_against_its_own_limit() -> None:
    assert novelty_parity(novel_by(0, 10), novel_by(5, 15), [8, 12]).flips == 0


@pytest.mark.parametrize("candidate", [novel_by(5, None), FakeEngine(LABELS, reading, CUT)])
def test_against_a_candidate_without_a_limit_novelty_is_not_compared(candidate: FakeEngine) -> None:
    assert novelty_parity(novel_by(0), candidate, [8, 12]).flips == 0


def test_novelty_has_an_error_only_where_both_have_it_and_a_limit() -> None:
    assert novelty_parity(novel_by(0, None), novel_by(5, None), [8]).novelty_error is None
    assert novelty_parity(novel_by(0), FakeEngine(LABELS, reading, CUT), [8]).novelty_error is None
    assert novelty_parity(novel_by(0), novel_by(1), [8]).novelty_error == pytest.approx(0.1)


@pytest.mark.parametrize("labels", [("pit", "crack", "scale"), ("crack", "pit"), ("crack", "pit", "dent")])
def test_engines_of_other_labels_are_not_compared(labels: tuple[str, ...]) -> None:
    with pytest.raises(EngineMismatch, match=r"^fake: its labels are .*, the reference's are .*'crack', 'pit'"):
        parity_of([0], candidate=FakeEngine(labels, None, CUT))


@pytest.mark.parametrize("broken", ["reference", "candidate"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_on_either_side(broken: str, number: float) -> None:
    def answer(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.where(level(crops)[:, None] == 2, np.float32(number), reading(crops))

    functions = {"reference": reading, "candidate": reading} | {broken: answer}
    with (
        FakeEngine(LABELS, functions["reference"], CUT) as reference,
        FakeEngine(LABELS, functions["candidate"], CUT) as candidate,
        pytest.raises(EngineMismatch, match="not finite"),
    ):
        compare(reference, candidate, crops_of([0, 1, 2]))


def test_flips_of_all_crops_beyond_the_share_are_refused() -> None:
    parity = parity_of([0] * 96 + slipped([0, 0, 1, 2], 1))
    refuse_flips(parity, 0.03)
    with pytest.raises(EngineMismatch, match=r"^fake: 3 of 100 crops change their label, more than 2\.0%: refused$"):
        refuse_flips(parity, 0.02)


def test_flips_of_one_thin_label_are_refused_though_few_of_all() -> None:
    parity = parity_of([0] * 990 + [1] * 8 + slipped([1], 0) + slipped([1], 2))
    assert parity.flip_share < 0.02
    refuse_flips(parity, 0.2)
    with pytest.raises(EngineMismatch, match=r"2 of 10 crops of pit become 1 crack, 1 scale, more than 2\.0%: refused"):
        refuse_flips(parity, 0.02)


def test_one_flip_of_a_rare_label_is_let_pass_but_not_where_none_may_flip() -> None:
    parity = parity_of([0] * 99 + slipped([1], 2))
    refuse_flips(parity, 0.01)
    with pytest.raises(EngineMismatch, match=r"1 of 100 crops change their label, more than 0\.0%"):
        refuse_flips(parity, 0)


def test_no_flip_is_never_refused() -> None:
    refuse_flips(parity_of([0, 1, 2]), 0)
