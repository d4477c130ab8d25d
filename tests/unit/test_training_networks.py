"""The networks, their folding, the serving graph, ensembles, starting weights, and the augmentation."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from shadowline.errors import StationError
from training.augment import augment
from training.networks import Ensemble, Serving, open_network, probabilities_of, settle
from training.networks.network import Scaling
from training.networks.weights import load_weights
from training.recipe import make_recipe

SIDE, CLASSES = 32, 3
SMALL = "mobilenetv3_small_050"


def crops_of(count, seed=0, side=SIDE):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 1, side, side), np.uint8))


def made(network, classes=CLASSES, **settings):
    """Return a network whose normalisations have seen data, in evaluation mode."""
    crop = {"size_px": SIDE, "context": 1.0, "min_side_px": SIDE}
    recipe = settle(make_recipe(None, network=network, crop=crop, **settings), 10)
    built, _ = open_network(recipe, classes)
    with torch.no_grad():
        for _ in range(20):
            built(crops_of(16))
    return built.eval()


@pytest.mark.parametrize("network", ["compact", "original", SMALL, "squeezenet1_1", "vit_tiny_patch16_224"])
def test_every_network_goes_from_grey_crops_over_maps_and_features_to_logits(network):
    settings = {} if network in ("compact", "original", SMALL) else {"input_px": 64}
    built = made(network, **settings)
    with torch.inference_mode():
        maps = built.maps(crops_of(2))
        features = built.pool(maps)
        assert maps.ndim == 4
        assert features.shape == built.features(crops_of(2)).shape
        assert torch.equal(built.head(features), built(crops_of(2)))
        assert built(crops_of(2)).shape == (2, CLASSES)


def test_a_backbone_can_be_cut_after_some_stages():
    whole, part = made(SMALL), made(SMALL, stages=3)
    assert sum(p.numel() for p in part.parameters()) < sum(p.numel() for p in whole.parameters()) / 2
    assert part(crops_of(1)).shape == (1, CLASSES)


@pytest.mark.parametrize(
    ("network", "settings", "said"),
    [
        ("mobilnet", {}, "neither timm nor torchvision has it"),
        ("compact", {"head": "sigmoid"}, "head sigmoid is for two classes"),
        ("squeezenet1_1", {"stages": 2}, "stages are for backbones of timm"),
        ("original", {"input_px": 16}, "too small"),
        ("faster_vit_0_224_none", {}, "neither timm nor torchvision"),
    ],
)
def test_what_can_not_be_built_is_said_plainly(network, settings, said):
    with pytest.raises(StationError, match=said):
        made(network, **settings)


def test_the_folded_network_answers_as_the_branched_one():
    network = made("compact", width=0.5)
    with torch.inference_mode():
        branched, folded = network(crops_of(8, seed=1)), network.folded()(crops_of(8, seed=1))
    assert branched.std() > 1e-3
    assert torch.allclose(branched, folded, atol=1e-4)
    kinds = {type(layer).__name__ for layer in network.folded().modules()}
    assert not kinds & {"BatchNorm2d", "_BranchedConvolution"}


@pytest.mark.parametrize("network", ["compact", "original"])
def test_serving_answers_probabilities_and_the_temperature_keeps_their_order(network):
    built, crops = made(network), crops_of(8, seed=2)
    with torch.inference_mode():
        sharp, soft = (Serving(built, "softmax", temperature)(crops)[0] for temperature in (0.5, 2.0))
    assert torch.allclose(sharp.sum(1), torch.ones(8), atol=1e-5)
    assert torch.equal(sharp.argsort(1), soft.argsort(1))
    assert (sharp.max(1).values > soft.max(1).values).all()


def test_the_heads_make_their_own_probabilities():
    logits = torch.tensor([[2.0, -1.0]])
    assert probabilities_of(logits, "softmax").sum() == pytest.approx(1)
    assert probabilities_of(logits, "multi_label").tolist()[0] == pytest.approx([0.8808, 0.2689], abs=1e-4)
    assert probabilities_of(logits[:, :1], "sigmoid").tolist()[0] == pytest.approx([0.1192, 0.8808], abs=1e-4)


@pytest.mark.parametrize(("head", "classes"), [("softmax", 3), ("sigmoid", 2), ("multi_label", 3)])
def test_an_ensemble_is_the_mean_of_its_members_probabilities(head, classes):
    members = [made("compact", classes, width=0.5, head=head), made("original", classes, scale="unit", head=head)]
    joined, crops = Ensemble(members, [0.5, 2.0], head).eval(), crops_of(6, seed=3)
    with torch.inference_mode():
        parts = [probabilities_of(m(crops) / t, head) for m, t in zip(members, (0.5, 2.0), strict=True)]
        assert torch.allclose(probabilities_of(joined(crops), head), sum(parts) / 2, atol=1e-5)
        logits, depths = joined.both(crops)
        assert torch.equal(logits, joined(crops))
        assert depths.shape[1] == sum(member.both(crops)[1].shape[1] for member in members)


def test_the_standard_scale_sees_the_same_in_another_light():
    crops = torch.randint(60, 120, (4, 1, SIDE, SIDE), dtype=torch.uint8)
    scaling = Scaling("standard", SIDE)
    assert torch.allclose(scaling(crops), scaling(crops + 90), atol=1e-4)
    assert (scaling(torch.full((1, 1, SIDE, SIDE), 200, dtype=torch.uint8)) == 0).all()


@pytest.mark.parametrize(("scale", "ends"), [("unit", (0, 1)), ("symmetric", (-1, 1)), ("imagenet", (-1.987, 2.438))])
def test_fixed_scales_map_black_and_white(scale, ends):
    scaled = Scaling(scale, 1)(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1))
    assert scaled.ravel().tolist() == pytest.approx(ends, abs=1e-3)


class Net(nn.Module):
    """Two convolutions with a normalisation between them."""

    def __init__(self, width=4):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 2, 1)


def state_of(net, rename=None):
    torch.manual_seed(1)
    state = {k: torch.rand_like(v) for k, v in net.state_dict().items() if v.is_floating_point()}
    return {(rename or (lambda k: k))(k): v for k, v in state.items()}


def test_weights_load_by_name_from_safetensors_with_half_precision(tmp_path):
    net, state = Net(), state_of(Net())
    save_file({k: v.half() for k, v in state.items()}, tmp_path / "w.safetensors")
    report = load_weights(net, tmp_path / "w.safetensors")
    assert (report.by, report.missing, report.unused) == ("name", (), ())
    assert torch.allclose(net.first.weight, state["first.weight"], atol=1e-3)


def test_weights_of_other_names_load_in_order_and_the_rest_is_reported(tmp_path):
    net = Net()
    other = {"first": "features.0.0", "norm": "features.0.1", "last": "features.2.0"}
    state = state_of(net, lambda k: f"{other[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}")
    torch.save({**state, "classifier.weight": torch.zeros(5)}, tmp_path / "w.pth")
    report = load_weights(net, tmp_path / "w.pth")
    assert report.by == "order"
    assert report.unused == ("classifier.weight",)
    assert torch.equal(net.last.weight, state["features.2.0.weight"])
    assert "not used: classifier.weight" in report.text()


def test_a_partly_covered_backbone_tells_what_starts_from_chance(tmp_path):
    state = state_of(Net())
    del state["last.bias"]
    save_file(state, tmp_path / "w.safetensors")
    report = load_weights(Net(), tmp_path / "w.safetensors")
    assert report.missing == ("last.bias",)
    assert "not covered: last.bias" in report.text()


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_file(state_of(Net(8)), tmp_path / "w.safetensors")
    with pytest.raises(StationError, match=r"another architecture: \d of the 7 tensors"):
        load_weights(Net(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StationError, match="not a file of weights"):
        load_weights(Net(), tmp_path / name)


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


@pytest.mark.parametrize(("turns", "ways"), [(True, 8), (False, 4)])
def test_without_strength_a_crop_is_only_mirrored_and_turned(turns, ways):
    crop, rng = crops_of(1)[0, 0].numpy(), np.random.default_rng(0)
    seen = {augment(crop, rng, strength=0, turns=turns).tobytes() for _ in range(100)}
    assert len(seen) == ways
    assert {tuple(sorted(one)) for one in seen} == {tuple(sorted(crop.tobytes()))}
