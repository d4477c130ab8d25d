"""Features of crops: alike in every view of a part, the same in any batch, comparable between networks."""

import numpy as np
import pytest
import torch

from engines import CropCut
from shadowline.errors import StationError
from training.embedding import condense, embed
from training.networks import Ensemble, open_network, settle
from training.recipe import Recipe


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    recipe = Recipe(network="compact", width=0.25, crop=CropCut(size_px=32, context=1.0, min_side_px=16))
    return open_network(settle(recipe, 8), 3)[0]


def crops(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 32, 32), np.uint8)


def turned(pictures, quarters, mirrored):
    picture = np.rot90(pictures, quarters, (2, 3))
    return np.ascontiguousarray(picture[..., ::-1] if mirrored else picture)


@pytest.mark.parametrize(("quarters", "mirrored"), [(1, False), (2, False), (3, True), (0, True)])
def test_all_eight_views_make_a_turned_crop_the_same(network, quarters, mirrored):
    plain, other = crops(3), turned(crops(3), quarters, mirrored)
    assert np.allclose(embed(network, plain), embed(network, other), atol=1e-5)
    assert not np.allclose(embed(network, plain, views=1), embed(network, other, views=1), atol=1e-3)


def test_a_crop_has_the_same_features_in_any_batch(network):
    many = crops(70)
    features = embed(network, many, views=2)
    assert features.dtype == np.float32
    assert np.allclose(features[64:], embed(network, many[64:], views=2), atol=1e-5)


def test_training_mode_does_not_blur_the_features(network):
    network.train()
    first = embed(network, crops(4), views=1)
    network.train()
    assert np.array_equal(first, embed(network, crops(4), views=1))


@pytest.mark.parametrize("views", [0, 9])
def test_other_numbers_of_views_are_refused(network, views):
    with pytest.raises(StationError, match="1 to 8"):
        embed(network, crops(2), views)


def test_no_crops_are_one_clear_error(network):
    with pytest.raises(StationError, match="no crops"):
        embed(network, crops(0))


def test_condensed_rows_have_length_one_whatever_the_scale_of_a_feature():
    features = np.random.default_rng(1).standard_normal((40, 100)).astype(np.float32)
    features[:, 7] = 5.0  # a feature that never changes says nothing
    rows = condense(features, 16)
    assert rows.shape == (40, 16)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.allclose(rows, condense(features * np.float32(1000), 16), atol=1e-3)


def test_a_single_crop_is_refused():
    with pytest.raises(StationError, match="at least 2"):
        condense(np.ones((1, 5), np.float32))


def test_an_ensemble_gives_its_members_features_beside_each_other(network):
    both = embed(Ensemble([network, network], [1.0, 1.0], "softmax"), crops(3), views=1)
    assert both.shape == (3, 2 * embed(network, crops(3), views=1).shape[1])
