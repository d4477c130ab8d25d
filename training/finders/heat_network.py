"""The networks of heat maps: grey frames of any size in, a logit a cell and map out. Needs torch."""

import math
from typing import Final, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation

from training.finders.heat_recipe import SMALL, HeatRecipe
from training.finders.pyramid import Pyramid, open_trunk
from training.networks.network import scale_levels
from training.networks.weights import WeightsReport
from training.recipe import Scale

__all__ = ["HeatNetwork", "ServedHeat", "SmallNetwork", "open_heat_network"]

_PRIOR: Final = 0.02
"""Heat that a new network tells of every cell."""
_STAGES: Final = 4
"""Stages of a trunk that are looked at: of 5 those of the strides 4, 8, 16 and 32."""


class SmallNetwork(nn.Module):
    """Plain 3×3 convolutions down to a 32nd and back up to an 8th of the frame, joined by sums.

    Made for ONNX Runtime's INT8: channels are multiples of 16, there is no depthwise layer and no activation but ReLU.
    3.1 ms for 512×256 on one core, which is a frame of 2048×1000 at scale 4 (tests/benchmarks/finders.py).
    """

    strides = (8,)

    def __init__(self) -> None:
        super().__init__()
        self.to_8 = nn.Sequential(_conv(1, 16, 2), _conv(16, 32, 2), _conv(32, 64, 2), _conv(64, 64), _conv(64, 64))
        self.to_16 = nn.Sequential(_conv(64, 128, 2), _conv(128, 128), _conv(128, 128))
        self.to_32 = nn.Sequential(_conv(128, 128, 2), _conv(128, 128), _conv(128, 128))
        self.from_32, self.from_16 = nn.Conv2d(128, 128, 1), nn.Conv2d(128, 64, 1)
        self.at_16, self.at_8 = _conv(128, 128), _conv(64, 64)

    def forward(self, scaled: Tensor) -> list[Tensor]:
        """Return maps [N,64,h,w] of scaled grey [N,1,H,W]."""
        eighth = self.to_8(scaled)
        sixteenth = self.to_16(eighth)
        sixteenth = self.at_16(sixteenth + _grown(self.from_32(self.to_32(sixteenth)), sixteenth))
        return [self.at_8(eighth + _grown(self.from_16(sixteenth), eighth))]


class HeatNetwork(nn.Module):
    """Scaling, maps, and a head on the finest of them; cells have `stride` pixels."""

    def __init__(
        self, levels: Scale, body: SmallNetwork | Pyramid, width: int, maps: int, keep_statistics: bool = False
    ) -> None:
        """`keep_statistics` holds those of the trunk's norms: small batches of few pictures don't give better ones."""
        super().__init__()
        self.levels, self.body = levels, body
        self._keeps = keep_statistics
        self.stride, self.maps = body.strides[0], maps
        self.head = nn.Conv2d(width, maps, 1)
        nn.init.constant_(cast(Tensor, self.head.bias), math.log(_PRIOR / (1 - _PRIOR)))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of learning, in which the kept norms stay as they are."""
        super().train(mode)
        if self._keeps and isinstance(self.body, Pyramid):
            for module in self.body.trunk.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits [N,C,h,w] of frames uint8 [N,1,H,W], whose sides are multiples of `stride`."""
        return cast(Tensor, self.head(self.body(scale_levels(frames.to(torch.float32), self.levels))[0]))


class ServedHeat(nn.Module):
    """A heat map's network as its finder file: heat from 0 to 1, [N,h,w] of one map or [N,C,h,w]."""

    def __init__(self, network: HeatNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        heat = self.network(frames).sigmoid()
        return heat[:, 0] if self.network.maps == 1 else heat


def open_heat_network(recipe: HeatRecipe, maps: int, start: bool = True) -> tuple[HeatNetwork, WeightsReport | None]:
    """Return a new network by its recipe, and what its weights file covered; `start` False leaves out the weights."""
    torch.manual_seed(recipe.seed)
    if recipe.network == SMALL:
        return HeatNetwork(recipe.levels, SmallNetwork(), 64, maps).to(memory_format=torch.channels_last), None
    trunk, report = open_trunk(recipe, _STAGES, start)
    started = recipe.weights != "none"
    network: HeatNetwork = HeatNetwork(recipe.levels, Pyramid(trunk, recipe.width), recipe.width, maps, started)
    return network.to(memory_format=torch.channels_last), report


def _conv(given: int, out: int, stride: int = 1) -> nn.Module:
    return Conv2dNormActivation(given, out, 3, stride)


def _grown(maps: Tensor, finer: Tensor) -> Tensor:
    height, width = finer.shape[-2:]
    # by a factor, not to a size: the sizes that ONNX would compute keep ONNX Runtime from joining INT8 layers
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")[..., :height, :width]
