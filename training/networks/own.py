"""The networks and the full serving graph around one: uint8 crops in, calibrated probabilities out. Needs torch."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Compact", "Original", "Serving", "build_network", "scale_crops"]

_STEM = 24
_PLAN = ((40, 2), (40, 1), (80, 2), (80, 1), (80, 1), (160, 2), (160, 1))
_LEVEL_FLOOR = 4.0


def scale_crops(crops: Tensor, network: str) -> Tensor:
    """Return float crops [N,1,S,S] as `network` wants them.

    `original`: grey levels over 255. `compact`: each crop less its own mean, over its own standard deviation (with 4
    grey levels added, so that a flat crop stays flat): the same answer whatever the lamp's level and the contrast.
    """
    levels = crops.to(torch.float32)
    if network == "original":
        return levels * (1 / 255)
    levels = levels - levels.mean((2, 3), keepdim=True)
    spread = (levels * levels).mean((2, 3), keepdim=True).sqrt()
    return levels / (spread + _LEVEL_FLOOR)


class Original(nn.Module):
    """Three convolutions with 3×3 max pooling and three dense layers, as in the project this grew from."""

    def __init__(self, classes: int, size_px: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side, before = size_px, 1
        for width in (16, 32, 64):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3)]
            side, before = side // 3, width
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(before * side * side, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )

    def forward(self, scaled: Tensor) -> Tensor:
        return cast(Tensor, self.layers(scaled))

    def folded(self) -> "Original":
        """Return itself: there is nothing to fold."""
        return self


class _BranchedConvolution(nn.Module):
    """A 3×3 convolution that learns with a 1×1 and, where the shape allows, an identity beside it.

    All branches are linear up to the ReLU, so that they fold into one 3×3 convolution for serving (RepVGG, Ding et
    al. 2021). The served network is a plain chain, the form that ONNX Runtime runs in INT8 from end to end.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.wide = _convolution(before, after, 3, stride)
        self.narrow = _convolution(before, after, 1, stride)
        self.straight = nn.BatchNorm2d(after) if before == after and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        total = self.wide(x) + self.narrow(x)
        if self.straight is not None:
            total = total + self.straight(x)
        return functional.relu(total)

    def folded(self) -> nn.Sequential:
        """Return the one convolution and its ReLU that answer the same in evaluation mode."""
        weight, bias = _fold(self.wide)
        narrow_weight, narrow_bias = _fold(self.narrow)
        weight, bias = weight + functional.pad(narrow_weight, [1, 1, 1, 1]), bias + narrow_bias
        if self.straight is not None:
            scale, shift = _scale_shift(self.straight)
            channel = torch.arange(len(scale))
            weight[channel, channel, 1, 1] += scale
            bias = bias + shift
        stride = cast(nn.Conv2d, self.wide[0]).stride
        return nn.Sequential(_plain(weight, bias, stride[0]), nn.ReLU())


class Compact(nn.Module):
    """Eight convolutions in a chain, mean pooling and one dense layer; about 0.5 M weights."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(1, _STEM, 3, 2), nn.ReLU())
        widths = [_STEM, *(width for width, _ in _PLAN)]
        self.chain = nn.Sequential(
            *(_BranchedConvolution(widths[i], width, stride) for i, (width, stride) in enumerate(_PLAN))
        )
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(widths[-1], classes))

    def forward(self, scaled: Tensor) -> Tensor:
        features = functional.adaptive_avg_pool2d(self.chain(self.stem(scaled)), 1)
        return cast(Tensor, self.head(features.flatten(1)))

    def folded(self) -> "Compact":
        """Return a copy in evaluation mode with every branch and normalisation folded into plain convolutions."""
        plain = Compact(cast(nn.Linear, self.head[1]).out_features)
        weight, bias = _fold(self.stem)
        plain.stem = nn.Sequential(_plain(weight, bias, 2), nn.ReLU())
        plain.chain = nn.Sequential(*(cast(_BranchedConvolution, block).folded() for block in self.chain))
        plain.head = self.head
        plain.eval()
        return plain


class Serving(nn.Module):
    """The graph of a model file: scaling, network, temperature and softmax.

    `original` is trained to the mean square error of one-hot targets, so its outputs are no logits; the softmax of
    outputs over a temperature fitted to the validation split (small, since they lie between 0 and 1) makes
    probabilities of them without changing their order.
    """

    def __init__(self, network: nn.Module, kind: str, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.kind = kind
        self.sharpness = 1 / temperature

    def forward(self, crops: Tensor) -> Tensor:
        return torch.softmax(self.network(scale_crops(crops, self.kind)) * self.sharpness, 1)


def build_network(kind: str, classes: int, size_px: int) -> Original | Compact:
    """Return a new network `kind` for crops of `size_px`."""
    return Original(classes, size_px) if kind == "original" else Compact(classes)


def _convolution(before: int, after: int, size: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


def _scale_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return what a normalisation multiplies with and adds in evaluation mode."""
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    return scale, (norm.bias - norm.running_mean * scale).detach()


def _fold(pair: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with the normalisation behind it."""
    scale, shift = _scale_shift(cast(nn.BatchNorm2d, pair[1]))
    return cast(nn.Conv2d, pair[0]).weight.detach() * scale[:, None, None, None], shift


def _plain(weight: Tensor, bias: Tensor, stride: int) -> nn.Conv2d:
    after, before, size, _ = weight.shape
    convolution = nn.Conv2d(before, after, size, stride, size // 2)
    convolution.load_state_dict({"weight": weight, "bias": bias})
    return convolution
