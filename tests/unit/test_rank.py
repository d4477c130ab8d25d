"""What to label next: doubtful, far from what is known, not twice the same; and it teaches more than chance."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from shadowline.errors import StationError
from training.rank import rank

NONE = np.empty((0, 4), np.float32)


def axes(*numbers):
    return np.eye(4, dtype=np.float32)[list(numbers)]


def shares(*first):
    return np.array([[share, 1 - share] for share in first], np.float32)


def test_doubtful_crops_come_before_sure_ones():
    order = rank(shares(0.99, 0.55, 0.8), axes(0, 1, 2), NONE, None, 3)
    assert order.tolist() == [1, 2, 0]


def test_a_copy_of_a_labelled_or_taken_crop_comes_last():
    features = axes(0, 1, 1, 2)
    order = rank(shares(0.5, 0.52, 0.52, 0.7), features, axes(0), None, 4)
    assert order[0] in (1, 2)
    assert order[1] == 3
    assert sorted(order.tolist()) == [0, 1, 2, 3]


def test_a_sure_answer_about_something_new_counts_as_doubtful():
    probabilities, features = shares(0.99, 0.9, 0.99, 0.99), axes(0, 1, 2, 3)
    novelty = np.array([1.0, 1.0, 9.0, 1.2], np.float32)
    assert rank(probabilities, features, NONE, None, 1).tolist() == [1]
    assert rank(probabilities, features, NONE, novelty, 1).tolist() == [2]


def test_equal_novelty_changes_nothing():
    probabilities, features = shares(0.9, 0.6, 0.7, 0.8), axes(0, 1, 2, 3)
    plain = rank(probabilities, features, NONE, None, 4)
    assert np.array_equal(plain, rank(probabilities, features, NONE, np.ones(4, np.float32), 4))


@pytest.mark.parametrize("count", [0, 4])
def test_impossible_counts_are_refused(count):
    with pytest.raises(StationError, match="take 1 to 3"):
        rank(shares(0.5, 0.5, 0.5), axes(0, 1, 2), NONE, None, count)


def drawn(seed):
    """Six kinds of crops, two of them rare, each of three looks; pool and test side."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((18, 12))
    looks = rng.choice(18, 800, p=np.repeat([0.28, 0.28, 0.2, 0.2, 0.02, 0.02], 3) / 3)
    points = centres[looks] + rng.normal(0, 0.35, (800, 12))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), looks // 3


def learning(seed, ranked, rounds=5, step=6):
    """Return the balanced accuracy on the test side after some rounds of labelling."""
    points, classes = drawn(seed)
    rng = np.random.default_rng(seed + 100)
    pool = np.arange(500)
    known = rng.permutation(pool)[:12]
    for _ in range(rounds):
        model = LogisticRegression(C=10).fit(points[known], classes[known])
        rest = np.setdiff1d(pool, known)
        probabilities = model.predict_proba(points[rest]).astype(np.float32)
        order = rank(probabilities, points[rest], points[known], None, step) if ranked else rng.permutation(len(rest))
        known = np.concatenate([known, rest[order[:step]]])
    model = LogisticRegression(C=10).fit(points[known], classes[known])
    right = model.predict(points[500:]) == classes[500:]
    return np.mean([right[classes[500:] == number].mean() for number in np.unique(classes[500:])])


def test_ranked_labels_teach_more_than_random_ones():
    gains = [learning(seed, ranked=True) - learning(seed, ranked=False) for seed in range(5)]
    assert np.mean(gains) > 0.05
