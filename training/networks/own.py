"""Our own small networks: the one of the project this grew from, and the chain that INT8 likes best. Needs torch."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CompactTrunk", "OriginalTrunk", "original_pool"]

_STEM = 24
_PLAN = ((40, 2), (40, 1), (80, 2), (80, 1), (80, 1), (160, 2), (160, 1))
_ORIGINAL = (16, 32, 64)


class OriginalTrunk(nn.Sequential):
    """Three convolutions with ReLU and 3×3 max pooling: maps [N,64,S/27,S/27] of scaled crops [N,1,S,S]."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for before, width in zip((1, *_ORIGINAL), _ORIGINAL, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3)]
        super().__init__(*layers)


def original_pool(input_px: int) -> nn.Sequential:
    """Return the first two of the three dense layers: features [N,64] of maps for crops of `input_px`."""
    side = input_px // 27
    return nn.Sequential(
        nn.Flatten(), nn.Linear(_ORIGINAL[-1] * side * side, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
    )


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


class CompactTrunk(nn.Sequential):
    """Eight 3×3 convolutions in a chain: maps [N,160·width,S/16,S/16] of scaled crops [N,1,S,S]."""

    def __init__(self, width: float) -> None:
        widths = [8 * round(channels * width / 8) for channels in (_STEM, *(channels for channels, _ in _PLAN))]
        blocks = (_BranchedConvolution(widths[i], widths[i + 1], stride) for i, (_, stride) in enumerate(_PLAN))
        super().__init__(nn.Sequential(*_convolution(1, widths[0], 3, 2), nn.ReLU()), *blocks)

    def folded(self) -> nn.Sequential:
        """Return a chain of plain convolutions, every branch and normalisation folded in; for evaluation only."""
        stem, *blocks = self
        weight, bias = _fold(cast(nn.Sequential, stem))
        chain = (cast(_BranchedConvolution, block).folded() for block in blocks)
        return nn.Sequential(nn.Sequential(_plain(weight, bias, 2), nn.ReLU()), *chain).eval()


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
