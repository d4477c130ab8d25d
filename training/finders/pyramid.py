"""Maps of a whole frame at several strides: a trunk cut into its stages, and a light pyramid over them. Needs torch."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from training.finders.recipe import FinderRecipe
from training.networks.backbone import open_backbone
from training.networks.weights import WeightsReport

__all__ = ["Pyramid", "Trunk", "open_trunk"]


class Trunk(nn.Module):
    """A backbone that answers scaled grey [N,1,H,W] with the maps of its last `count` stages, finest first."""

    def __init__(self, model: nn.Module, count: int, frozen: int) -> None:
        super().__init__()
        self.model = model
        info = cast(Any, model).feature_info
        self.count = count
        self.channels: list[int] = info.channels()[-count:]
        self.strides: list[int] = info.reduction()[-count:]
        for part in _first_parts(model, frozen):
            part.requires_grad_(False)

    def forward(self, scaled: Tensor) -> list[Tensor]:
        """Return maps [N,D,h,w], one a stage."""
        return cast(list[Tensor], self.model(scaled)[-self.count :])


class Pyramid(nn.Module):
    """A trunk and the top-down pathway over its stages: each map knows what the coarser ones see (Lin et al. 2017).

    The coarsest also gets the mean of the whole picture, which tells one texture from another.
    """

    def __init__(self, trunk: Trunk, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.strides = trunk.strides
        self.context = nn.Conv2d(trunk.channels[-1], trunk.channels[-1], 1)
        self.lateral = FeaturePyramidNetwork(trunk.channels, width, norm_layer=nn.BatchNorm2d)
        nn.init.zeros_(self.context.weight)
        nn.init.zeros_(cast(Tensor, self.context.bias))

    def forward(self, scaled: Tensor) -> list[Tensor]:
        """Return maps [N,width,h,w], one a stride, finest first."""
        *finer, coarse = self.trunk(scaled)
        coarse = coarse + self.context(coarse.mean((2, 3), keepdim=True))
        found = self.lateral({str(number): maps for number, maps in enumerate([*finer, coarse])})
        return [torch.relu(maps) for maps in found.values()]


def open_trunk(recipe: FinderRecipe, count: int, start: bool = True) -> tuple[Trunk, WeightsReport | None]:
    """Return the recipe's trunk with its last `count` stages, and what its weights file covered.

    `start` False leaves out the starting weights: for loading a checkpoint. Raises `StationError` when there is no
    such backbone or its weights do not fit.
    """
    weights = recipe.weights if start and recipe.weights != "none" else None
    trunk, report = open_backbone(recipe.network, recipe.input_px[0], weights, recipe.stages)
    return Trunk(trunk.model, count, recipe.frozen), report


def _first_parts(model: nn.Module, count: int) -> list[nn.Module]:
    """Return the stem and the first `count` blocks of a backbone; nothing for 0."""
    parts = [part for _, part in model.named_children()]
    blocks = next((number for number, part in enumerate(parts) if isinstance(part, nn.Sequential)), len(parts))
    inner = list(parts[blocks]) if blocks < len(parts) and isinstance(parts[blocks], nn.Sequential) else []
    return [*parts[:blocks], *inner[:count]] if count else []
