"""The heat map's losses, its networks and what it refuses."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from training.finders.heat import heat_losses
from training.finders.heat_network import ServedHeat, open_heat_network
from training.finders.heat_recipe import HeatRecipe


def target_with(cells: int) -> torch.Tensor:
    """Return the heat of a picture with one square defect of `cells`×`cells`."""
    target = torch.zeros(1, 1, 32, 32)
    target[..., 4 : 4 + cells, 4 : 4 + cells] = 1
    return target


def missing(target: torch.Tensor) -> float:
    """Return the loss of saying that nothing is there."""
    return float(heat_losses(torch.full(target.shape, -4.0), target)["cells"])


def test_a_right_answer_costs_next_to_nothing() -> None:
    target = target_with(6)
    assert sum(map(float, heat_losses(20 * target - 10, target).values())) < 1e-2


def test_a_small_defect_counts_about_as_much_as_a_large_one() -> None:
    assert 0.3 < missing(target_with(2)) / missing(target_with(16)) < 3


def test_a_defect_free_picture_costs_only_what_is_hot() -> None:
    clean = torch.zeros(2, 1, 16, 16)
    assert float(heat_losses(torch.full(clean.shape, -8.0), clean)["overlap"]) == 0
    wrong = torch.full(clean.shape, -8.0)
    wrong[0, 0, 3:6, 3:6] = 3
    assert heat_losses(wrong, clean)["cells"] > 100 * heat_losses(torch.full(clean.shape, -8.0), clean)["cells"]


def test_the_small_network_takes_any_multiples_of_its_stride() -> None:
    recipe = HeatRecipe(network="small")
    served = ServedHeat(open_heat_network(recipe, 1)[0]).eval()
    with torch.inference_mode():
        heat = served(torch.from_numpy(np.full((2, 1, 40, 72), 90, np.uint8)))
    assert heat.shape == (2, 5, 9)
    assert served.network.stride == 8
    assert float(heat.min()) > 0
    assert float(heat.max()) < 1


def test_a_backbone_has_cells_of_four_and_a_map_a_label() -> None:
    recipe = HeatRecipe(network="mobilenetv3_small_050", weights="none", width=16, input_px=(64, 64))
    served = ServedHeat(open_heat_network(recipe, 3)[0]).eval()
    with torch.inference_mode():
        assert served(torch.zeros(1, 1, 64, 96, dtype=torch.uint8)).shape == (1, 3, 16, 24)


def test_the_small_network_has_no_weights_to_start_from() -> None:
    with pytest.raises(ValidationError, match="network small starts from nothing"):
        HeatRecipe(network="small", weights="package")
    plain = HeatRecipe(network="small")
    assert plain.weights == "none"
    assert HeatRecipe.model_validate_json(plain.model_dump_json()) == plain
