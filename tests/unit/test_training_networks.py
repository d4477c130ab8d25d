"""The networks, their folding and the serving graph, and the augmentation."""

import numpy as np
import pytest
import torch

from training.augment import augment
from training.networks import Serving, build_network, scale_crops

SIDE, CLASSES = 32, 3


def crops_of(count, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 1, SIDE, SIDE), np.uint8))


def trained(kind):
    """Return a network whose normalisations have seen data, in evaluation mode."""
    torch.manual_seed(0)
    network = build_network(kind, CLASSES, SIDE)
    with torch.no_grad():
        for _ in range(20):
            network(scale_crops(crops_of(16), kind))
    return network.eval()


def test_the_folded_network_answers_as_the_branched_one():
    network = trained("compact")
    scaled = scale_crops(crops_of(8, seed=1), "compact")
    with torch.inference_mode():
        branched, folded = network(scaled), network.folded()(scaled)
    assert branched.std() > 1e-3
    assert torch.allclose(branched, folded, atol=1e-4)


def test_folding_leaves_only_plain_layers():
    kinds = {type(layer).__name__ for layer in trained("compact").folded().modules()}
    assert "BatchNorm2d" not in kinds
    assert "_BranchedConvolution" not in kinds


@pytest.mark.parametrize("kind", ["compact", "original"])
def test_serving_answers_probabilities_and_the_temperature_keeps_their_order(kind):
    network, crops = trained(kind), crops_of(8, seed=2)
    with torch.inference_mode():
        sharp, soft = (Serving(network, kind, temperature)(crops) for temperature in (0.5, 2.0))
    assert torch.allclose(sharp.sum(1), torch.ones(8), atol=1e-5)
    assert torch.equal(sharp.argsort(1), soft.argsort(1))
    assert (sharp.max(1).values > soft.max(1).values).all()


def test_compact_sees_the_same_in_another_light():
    crops = torch.randint(60, 120, (4, 1, SIDE, SIDE), dtype=torch.uint8)
    brighter = scale_crops(crops + 90, "compact")
    assert torch.allclose(scale_crops(crops, "compact"), brighter, atol=1e-4)


def test_a_flat_crop_stays_flat():
    assert (scale_crops(torch.full((1, 1, SIDE, SIDE), 200, dtype=torch.uint8), "compact") == 0).all()


def test_augmenting_repeats_by_seed_changes_crops_and_leaves_its_input():
    crop = crops_of(1)[0, 0].numpy()
    before = crop.copy()
    changed = [augment(crop, np.random.default_rng(seed)) for seed in range(20)]
    assert np.array_equal(crop, before)
    assert all(one.shape == crop.shape and one.dtype == np.uint8 for one in changed)
    assert len({one.tobytes() for one in changed}) == 20
    assert np.array_equal(changed[3], augment(crop, np.random.default_rng(3)))


def test_augmenting_keeps_most_of_what_there_is_to_see():
    crop = np.zeros((SIDE, SIDE), np.uint8)
    crop[:, SIDE // 2 :] = 200
    rng = np.random.default_rng(0)
    spread = [float(augment(crop, rng).std()) for _ in range(200)]
    assert np.median(spread) > 50
    assert min(spread) > 5
