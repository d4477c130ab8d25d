"""From what cells say to candidates: their order, and views that are mirrored and told back."""

import pytest
import torch

from training.finders.detect_answers import Serving, best
from training.finders.detect_network import Dense, open_detect_network
from training.finders.detect_recipe import DetectRecipe

RECIPE = DetectRecipe(network="test_efficientnet", weights="none", input_px=(64, 96), width=16, depth=1, candidates=20)


@pytest.fixture(scope="module")
def network():
    made = open_detect_network(RECIPE, 3)[0].eval()
    torch.nn.init.normal_(made.head.label.weight)  # cells that differ
    torch.nn.init.normal_(made.head.box.weight, std=0.2)
    return made


def frames(seed=0):
    return torch.randint(0, 256, (2, 1, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_candidates_fall_in_score_lie_in_the_picture_and_may_share_a_cell():
    logits = torch.tensor([[[3.0, 2.0], [-1.0, 2.5]]])
    boxes = torch.tensor([[[-5.0, 0, 20, 20], [10, 10, 70, 90]]])
    told = best(Dense(logits, boxes, torch.zeros(2, 2), torch.ones(2)), 3, (64, 64))
    assert told[2].tolist() == [[0, 1, 1]]
    assert told[1].tolist() == [pytest.approx([0.953, 0.924, 0.881], abs=1e-3)]
    assert told[0][0].tolist() == [[0, 0, 20, 20], [10, 10, 64, 64], [0, 0, 20, 20]]


def test_fewer_cells_than_candidates_give_what_there_is():
    dense = Dense(torch.zeros(1, 2, 1), torch.zeros(1, 2, 4), torch.zeros(2, 2), torch.ones(2))
    assert best(dense, 100, (64, 64))[1].shape == (1, 2)


@pytest.mark.parametrize(("views", "axes"), [(2, (3,)), (4, (3,)), (4, (2,)), (4, (2, 3))])
def test_views_answer_a_mirrored_picture_with_mirrored_boxes(network, views, axes):
    serving = Serving(network, RECIPE.candidates, RECIPE.input_px, views).eval()
    with torch.inference_mode():
        boxes, scores, labels = serving(frames())
        turned, same, named = serving(frames().flip(axes))
    left, top, right, bottom = turned.unbind(-1)
    if 3 in axes:
        left, right = 96 - right, 96 - left
    if 2 in axes:
        top, bottom = 64 - bottom, 64 - top
    back = torch.stack([left, top, right, bottom], -1)
    assert torch.allclose(same, scores, atol=1e-5)
    steps = (scores[:, :-1] - scores[:, 1:]) > 1e-4
    clear = torch.nn.functional.pad(steps, (1, 0), value=True) & torch.nn.functional.pad(steps, (0, 1), value=False)
    assert clear.sum() > 10
    assert torch.equal(named[clear], labels[clear])
    assert torch.allclose(back[clear], boxes[clear], atol=1e-2)


def test_one_view_is_the_network_itself(network):
    serving = Serving(network, 5, RECIPE.input_px).eval()
    with torch.inference_mode():
        dense = network(frames())
        assert torch.equal(serving(frames())[1], dense.logits.sigmoid().flatten(1).topk(5).values)
