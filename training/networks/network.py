"""One kind of network for all: grey crops in, scaled inside, maps, features and logits out. Needs torch."""

import copy
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.model import Head
from training.networks.backbone import BackboneTrunk
from training.networks.depths import condensed, middle_layers, run_layers
from training.recipe import Scale

__all__ = ["Ensemble", "Network", "Scaling", "Serving", "features_of", "logits_of", "probabilities_of", "scale_levels"]

_BATCH = 64
_LEVEL_FLOOR = 4.0
_IMAGENET_MEAN, _IMAGENET_DEVIATION = 0.449, 0.226


class Scaling(nn.Module):
    """Crops [N,1,S,S], uint8 or float grey levels 0..255, as a network is fed them: resized, then scaled.

    `standard`: each crop less its own mean, over its own standard deviation (with 4 grey levels added, so that a flat
    crop stays flat): the same answer whatever the lamp's level and the contrast.
    """

    def __init__(self, scale: Scale, input_px: int) -> None:
        super().__init__()
        self.scale = scale
        self.input_px = input_px

    def forward(self, crops: Tensor) -> Tensor:
        levels = crops.to(torch.float32)
        if levels.shape[-1] != self.input_px:
            levels = functional.interpolate(levels, (self.input_px, self.input_px), mode="bilinear", antialias=False)
        return scale_levels(levels, self.scale)


def scale_levels(levels: Tensor, scale: Scale) -> Tensor:
    """Return grey levels 0..255, float [N,1,H,W], as a network is fed them."""
    if scale == "unit":
        return levels * (1 / 255)
    if scale == "symmetric":
        return levels * (1 / 127.5) - 1
    if scale == "imagenet":
        return (levels * (1 / 255) - _IMAGENET_MEAN) * (1 / _IMAGENET_DEVIATION)
    levels = levels - levels.mean((2, 3), keepdim=True)
    spread = (levels * levels).mean((2, 3), keepdim=True).sqrt()
    return levels / (spread + _LEVEL_FLOOR)


class Network(nn.Module):
    """Scaling, trunk, pooling and head in a row: `forward(crops) = head(pool(maps(crops)))`."""

    def __init__(self, scaling: Scaling, trunk: nn.Module, pool: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.scaling, self.trunk, self.pool, self.head = scaling, trunk, pool, head
        self.layers = middle_layers(trunk, scaling.input_px) if isinstance(trunk, nn.Sequential) else ()

    def maps(self, crops: Tensor) -> Tensor:
        """Return the last feature maps [N,D,h,w] of crops [N,1,S,S]."""
        return cast(Tensor, self.trunk(self.scaling(crops)))

    def features(self, crops: Tensor) -> Tensor:
        """Return the features [N,D] that the head sees."""
        return cast(Tensor, self.pool(self.maps(crops)))

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits [N,K]."""
        return cast(Tensor, self.head(self.features(crops)))

    def both(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N,K], and the depths [N,M] by which novelty is told: means of the middle layers' maps."""
        scaled = self.scaling(crops)
        if isinstance(self.trunk, nn.Sequential):
            maps, between = run_layers(self.trunk, scaled, self.layers)
        else:
            maps, between = cast(BackboneTrunk, self.trunk).depths(scaled)
        return cast(Tensor, self.head(self.pool(maps))), condensed(between)

    def folded(self) -> "Network":
        """Return a copy for evaluation, with what can be folded into plain convolutions folded."""
        plain: Network = copy.deepcopy(self).eval()
        if hasattr(plain.trunk, "folded"):
            plain.trunk = cast(Callable[[], nn.Module], plain.trunk.folded)()
        return plain


class Ensemble(nn.Module):
    """The mean answer of members that each scale for themselves, given as logits, so that it serves like one network.

    `temperatures` make each member's logits honest before the mean is taken.
    """

    def __init__(self, members: Sequence[nn.Module], temperatures: Sequence[float], head: Head) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.sharpness = [1 / temperature for temperature in temperatures]
        self.kind = head

    def features(self, crops: Tensor) -> Tensor:
        """Return the members' features beside each other [N,D1+D2+…], each of length 1."""
        return torch.cat([functional.normalize(cast(Network, m).features(crops), dim=1) for m in self.members], 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits [N,K] of the mean probability."""
        return self._mean([cast(Tensor, member(crops)) for member in self.members])

    def both(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N,K] of the mean probability, and the members' depths beside each other."""
        logits, depths = zip(*(cast(Network, member).both(crops) for member in self.members), strict=True)
        return self._mean(logits), torch.cat(depths, 1)

    def folded(self) -> "Ensemble":
        """Return a copy for evaluation."""
        members = [cast(Network, member).folded() for member in self.members]
        plain: Ensemble = Ensemble(members, [1 / sharpness for sharpness in self.sharpness], self.kind).eval()
        return plain

    def _mean(self, logits: Sequence[Tensor]) -> Tensor:
        scaled = [part * sharpness for part, sharpness in zip(logits, self.sharpness, strict=True)]
        mean = torch.stack([probabilities_of(part, self.kind) for part in scaled]).mean(0).clamp(1e-7, 1 - 1e-7)
        if self.kind == "softmax":
            return mean.log()
        mean = mean[:, 1:] if self.kind == "sigmoid" else mean
        return mean.log() - (1 - mean).log()


class Serving(nn.Module):
    """The graph of a model file: network, temperature, probabilities; and the depths that novelty is told by."""

    def __init__(self, network: Network | Ensemble, head: Head, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.kind: Head = head
        self.sharpness = 1 / temperature

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities [N,C] and depths [N,M]."""
        logits, depths = self.network.both(crops)
        return probabilities_of(logits * self.sharpness, self.kind), depths


def probabilities_of(logits: Tensor, head: Head) -> Tensor:
    """Return probabilities [N,C] of logits [N,K]; a sigmoid's one output becomes two columns."""
    if head == "softmax":
        return torch.softmax(logits, 1)
    chance = torch.sigmoid(logits)
    return chance if head == "multi_label" else torch.cat([1 - chance, chance], 1)


def logits_of(network: nn.Module, crops: Tensor) -> Tensor:
    """Return a network's logits [N,K] in evaluation mode, batch by batch, on the CPU."""
    return _batched(network, network, crops)


def features_of(network: Network | Ensemble, crops: Tensor) -> Tensor:
    """Return a network's features [N,D] in evaluation mode, batch by batch, on the CPU."""
    return _batched(network, network.features, crops)


def _batched(network: nn.Module, function: Callable[[Tensor], Tensor], crops: Tensor) -> Tensor:
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        return torch.cat([function(part.to(device)).float().cpu() for part in crops.split(_BATCH)])
