"""Temperatures that make drawn logits honest, floors by cost, and the coverage of prediction sets."""

import numpy as np
import pytest

from shadowline.errors import ConfigError, StationError
from training.confidence import conformal_threshold, fit_temperature, label_floors, prediction_set

CLASSES = 4


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def drawn(count, seed=0):
    """Return honest logits [n,C], and classes [n] drawn by the probabilities that they give."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, CLASSES))
    chances = softmax(logits).cumsum(1)
    return logits.astype(np.float32), (rng.random((count, 1)) > chances[:, :-1]).sum(1)


def one_hot(classes, count=CLASSES):
    return np.eye(count, dtype=np.float32)[classes]


@pytest.mark.parametrize("overconfidence", [0.1, 1.0, 8.0])
def test_the_temperature_takes_back_what_a_softmax_exaggerates(overconfidence):
    logits, classes = drawn(4000)
    fitted = fit_temperature(logits * overconfidence, one_hot(classes), "softmax")
    assert fitted == pytest.approx(overconfidence, rel=0.1)


def test_the_temperature_of_a_sigmoid_is_that_of_its_one_logit():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 1))
    second = (rng.random((4000, 1)) < 1 / (1 + np.exp(-logits))).astype(int)[:, 0]
    assert fit_temperature(3 * logits, one_hot(second, 2), "sigmoid") == pytest.approx(3, rel=0.1)


def test_the_temperature_of_many_labels_is_that_of_all_their_logits():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (2000, CLASSES))
    targets = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    assert fit_temperature(3 * logits, targets, "multi_label") == pytest.approx(3, rel=0.1)


def test_answers_that_are_all_right_are_made_as_sure_as_their_number_allows():
    def wrong_share(count):
        classes = np.arange(count) % CLASSES
        logits = one_hot(classes)
        confidence = softmax(logits / fit_temperature(logits, one_hot(classes), "softmax")).max(1)
        return 1 - confidence.mean()

    for count in (20, 400):
        assert wrong_share(count) == pytest.approx((1 - 1 / CLASSES) * 0.1 / (count + 0.1), rel=0.01)


def test_a_temperature_without_crops_is_refused():
    with pytest.raises(StationError, match="validation side"):
        fit_temperature(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32), "softmax")


def test_floors_cost_least_where_the_confidence_is_honest():
    logits, classes = drawn(20000, seed=3)
    probabilities = softmax(logits)
    confidence, wrong = probabilities.max(1), probabilities.argmax(1) != classes

    def cost(floor):
        given = confidence >= floor
        return 5 * (given & wrong).sum() + (~given).sum()

    floor = label_floors({"crack": 5.0})["crack"]
    assert floor == pytest.approx(0.8)
    assert cost(floor) < min(cost(floor - 0.15), cost(floor + 0.15))


def test_a_label_that_is_as_cheap_as_unknown_has_no_floor():
    assert label_floors({"dust": 1.0}) == {"dust": 0.0}


@pytest.mark.parametrize("cost", [0.0, 0.5, -3.0, float("inf"), float("nan")])
def test_a_cost_that_gives_no_floor_is_refused(cost):
    with pytest.raises(ConfigError, match="crack"):
        label_floors({"crack": cost})


@pytest.mark.parametrize("miss_rate", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("exaggeration", [0.5, 4.0])
def test_sets_hold_the_true_label_as_often_as_stated_however_wrong_the_confidence(miss_rate, exaggeration):
    """The mean over many draws is at least 1 - miss_rate, and by at most 1 / (n + 1) more."""
    held, rounds, covered = 99, 200, []
    for seed in range(rounds):
        logits, classes = drawn(held + 200, seed=seed)
        probabilities = softmax(logits * exaggeration)
        threshold = conformal_threshold(probabilities[:held], classes[:held], miss_rate)
        sets = prediction_set(probabilities[held:], threshold)
        covered.append(sets[np.arange(200), classes[held:]].mean())
    error = 3 * np.std(covered) / rounds**0.5
    assert 1 - miss_rate - error <= np.mean(covered) <= 1 - miss_rate + 1 / (held + 1) + error


def test_too_few_crops_for_a_miss_rate_put_every_label_into_the_set():
    logits, classes = drawn(98)
    probabilities = softmax(logits)
    assert conformal_threshold(probabilities, classes, 0.01) == 0
    assert prediction_set(probabilities, 0.0).all()


def test_a_set_holds_the_labels_from_the_threshold_on():
    sets = prediction_set(np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]], np.float32), 0.4)
    assert sets.tolist() == [[True, False, False], [True, True, False]]
