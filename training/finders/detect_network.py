"""The detector: a pyramid with a head that tells a label and a box from every cell of every stride. Needs torch.

Anchor-free and dense (FCOS, Tian et al. 2019), without a branch of its own for quality: the score itself learns how
well the box fits (TOOD, Feng et al. 2021).
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from training.finders.detect_recipe import DetectRecipe
from training.finders.pyramid import Pyramid, open_trunk
from training.networks.network import Scaling
from training.networks.weights import WeightsReport

__all__ = ["Dense", "DetectNetwork", "open_detect_network"]

_PRIOR = 0.01
_LARGEST = 6.0
"""Logarithm of the largest distance to a box's edge, in cells."""


@dataclass(frozen=True, slots=True)
class Dense:
    """What N pictures' cells say: logits [N,A,C], boxes [N,A,4] x0, y0, x1, y1; middles [A,2] and strides [A]."""

    logits: Tensor
    boxes: Tensor
    points: Tensor
    strides: Tensor


class _Head(nn.Module):
    """Two branches of convolutions, shared by all strides."""

    def __init__(self, width: int, depth: int, labels: int, strides: int) -> None:
        super().__init__()
        self.label_tower = nn.Sequential(*(Conv2dNormActivation(width, width, 3) for _ in range(depth)))
        self.box_tower = nn.Sequential(*(Conv2dNormActivation(width, width, 3) for _ in range(depth)))
        self.label = nn.Conv2d(width, labels, 3, padding=1)
        self.box = nn.Conv2d(width, 4, 3, padding=1)
        self.offsets = nn.Parameter(torch.full((strides,), math.log(2.0)))
        nn.init.normal_(self.label.weight, std=0.01)
        nn.init.constant_(cast(Tensor, self.label.bias), -math.log((1 - _PRIOR) / _PRIOR))
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.box.bias))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits [N,A,C] and logarithms of the distances to left, top, right and bottom [N,A,4], in cells."""
        logits = [self.label(self.label_tower(one)) for one in maps]
        distances = [self.box(self.box_tower(one)) + offset for one, offset in zip(maps, self.offsets, strict=True)]
        return _rows(logits), _rows(distances)


class DetectNetwork(nn.Module):
    """Scaling, pyramid and head in a row."""

    def __init__(self, scaling: Scaling, pyramid: Pyramid, recipe: DetectRecipe, labels: int) -> None:
        super().__init__()
        self.scaling, self.pyramid = scaling, pyramid
        self.head = _Head(recipe.width, recipe.depth, labels, len(pyramid.strides))
        points, strides = _grid(recipe.input_px, pyramid.strides)
        self.register_buffer("points", points, persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    def forward(self, frames: Tensor) -> Dense:
        """Return what every cell of pictures uint8 [N,1,H,W] of the recipe's input size says."""
        logits, logarithms = self.head(self.pyramid(self.scaling(frames)))
        points, strides = cast(Tensor, self.points), cast(Tensor, self.strides)
        distances = logarithms.float().clamp(max=_LARGEST).exp() * strides[:, None]
        boxes = torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)
        return Dense(logits.float(), boxes, points, strides)


def open_detect_network(
    recipe: DetectRecipe, labels: int, start: bool = True
) -> tuple[DetectNetwork, WeightsReport | None]:
    """Return a new detector by its recipe, and what its weights file covered; `start` False leaves out the weights."""
    torch.manual_seed(recipe.seed)
    trunk, report = open_trunk(recipe, recipe.levels_used, start)
    scaling = Scaling(recipe.levels, recipe.input_px[1])
    network: DetectNetwork = DetectNetwork(scaling, Pyramid(trunk, recipe.width), recipe, labels)
    return network.to(memory_format=torch.channels_last), report


def _rows(maps: list[Tensor]) -> Tensor:
    """Return maps [N,D,h,w] of several strides as one row a cell, [N,A,D]."""
    return torch.cat([one.flatten(2).transpose(1, 2) for one in maps], 1)


def _grid(input_px: tuple[int, int], strides: list[int]) -> tuple[Tensor, Tensor]:
    """Return the middle of every cell in input pixels [A,2] and its stride [A], in the order of `_rows`."""
    points, sizes = [], []
    for stride in strides:
        y, x = (torch.arange(stride / 2, side, stride) for side in input_px)
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
        points.append(grid)
        sizes.append(torch.full((len(grid),), float(stride)))
    return torch.cat(points), torch.cat(sizes)
