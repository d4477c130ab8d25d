"""Which layers of a trunk show what a network has not learnt to ignore: the middle ones. Needs torch.

A network that is fitted on known classes keeps in its last layer what tells those apart and drops the rest, so that a
new kind of defect looks there like a known one. The layers before change little: novelty is told by the last ones at a
quarter, an eighth and a sixteenth of the picture's size (docs/training.md has what each is worth).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["STRIDES", "condensed", "middle_layers", "run_layers"]

STRIDES = (4, 8, 16)


def middle_layers(chain: nn.Sequential, input_px: int) -> tuple[int, ...]:
    """Return the numbers of the last layers at each of the strides, without the chain's last one."""
    chain.eval()
    found: dict[int, int] = {}
    with torch.inference_mode():
        maps = torch.zeros(2, 1, input_px, input_px)
        for number, layer in enumerate(chain):
            maps = layer(maps)
            if number < len(chain) - 1:
                found[2 ** round(math.log2(input_px / maps.shape[-1]))] = number
    return tuple(found[stride] for stride in STRIDES if stride in found)


def run_layers(chain: nn.Sequential, scaled: Tensor, layers: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
    """Return the maps of a chain, and those of its layers `layers` on the way."""
    maps, between = scaled, []
    for number, layer in enumerate(chain):
        maps = layer(maps)
        if number in layers:
            between.append(maps)
    return maps, between


def condensed(between: list[Tensor]) -> Tensor:
    """Return the means of several maps [N,d,h,w] beside each other [N,D], each brought to length 1."""
    return torch.cat([functional.normalize(maps.mean((2, 3)), dim=1) for maps in between], 1)
