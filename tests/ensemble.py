"""A five-member ensemble as one model file: each member with its own preprocessing, network and temperature inside."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines import CropCut, ModelCard
from training.export import export_graph

__all__ = ["CARD", "Ensemble", "draw_crops", "make_ensemble", "write_ensemble"]

SIDE = 64
CARD = ModelCard(
    name="five",
    labels=("crack", "pit", "scale", "scratch"),
    crop=CropCut(size_px=SIDE, context=1.2, min_side_px=SIDE),
)


class Colour(nn.Module):
    """Grey to three channels, less a mean and over a deviation of each."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, levels: Tensor) -> Tensor:
        return ((levels / 255).expand(-1, 3, -1, -1) - self.mean) / self.deviation


class Inverted(nn.Module):
    """Dark is 1, bright is 0."""

    def forward(self, levels: Tensor) -> Tensor:
        return 1 - levels / 255


class Resized(nn.Module):
    """A smaller picture."""

    def forward(self, levels: Tensor) -> Tensor:
        return functional.interpolate(levels / 255, size=(48, 48), mode="bilinear", align_corners=False)


class Standardised(nn.Module):
    """Each crop less its own mean, over its own deviation: squares of grey levels, which overflow fp16."""

    def forward(self, levels: Tensor) -> Tensor:
        levels = levels - levels.mean((2, 3), keepdim=True)
        return levels / ((levels * levels).mean((2, 3), keepdim=True).sqrt() + 4)


class Gamma(nn.Module):
    """Square root of the level, from -1 to 1."""

    def forward(self, levels: Tensor) -> Tensor:
        return (levels / 255).sqrt() * 2 - 1


class Member(nn.Module):
    """Preprocessing, four convolutions with a residual addition, mean pooling, one dense layer, softmax."""

    temperature = 1.0

    def __init__(self, preprocessing: nn.Module, channels: int, width: int) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.first = nn.Conv2d(channels, width, 3, 2, 1)
        self.second = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.branch = nn.ModuleList(nn.Conv2d(2 * width, 2 * width, 3, 1, 1) for _ in range(2))
        self.head = nn.Linear(2 * width, len(CARD.labels))

    def logits(self, levels: Tensor) -> Tensor:
        x = functional.relu(self.first(self.preprocessing(levels)))
        x = functional.relu(self.second(x))
        x = functional.relu(x + self.branch[1](functional.relu(self.branch[0](x))))
        return cast(Tensor, self.head(x.mean((2, 3))))

    def forward(self, levels: Tensor) -> Tensor:
        return torch.softmax(self.logits(levels) / self.temperature, 1)


class Ensemble(nn.Module):
    """The mean of the members' probabilities."""

    def __init__(self, members: list[Member]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, crops: Tensor) -> Tensor:
        levels = crops.to(torch.float32)
        return torch.stack([cast(Tensor, member(levels)) for member in self.members]).mean(0)


def draw_crops(count: int, seed: int, side: int = SIDE) -> NDArray[np.uint8]:
    """Return `count` crops uint8 [n,1,side,side] of noise: fine and coarse, dark and bright, faint and strong."""
    random = np.random.default_rng(seed)
    crops = np.empty((count, 1, side, side), np.uint8)
    for crop in crops[:, 0]:
        texture = cv2.GaussianBlur(random.normal(size=(side, side)), (0, 0), random.uniform(0.5, 8))
        levels = random.uniform(60, 190) + texture / texture.std() * random.uniform(5, 60)
        crop[:] = np.clip(levels, 0, 255)
    return crops


def make_ensemble() -> Ensemble:
    """Return the ensemble with weights of a fixed seed, each member so set that it gives all labels to drawn crops."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        members = [
            Member(Colour(), 3, 12),
            Member(Inverted(), 1, 16),
            Member(Resized(), 1, 8),
            Member(Standardised(), 1, 12),
            Member(Gamma(), 1, 16),
        ]
    levels = torch.from_numpy(draw_crops(64, seed=0)).to(torch.float32)
    with torch.no_grad():
        for member in members:
            logits = member.logits(levels)
            member.head.bias -= logits.mean(0)
            member.temperature = float(logits.std(0).mean()) / 2
    return Ensemble(members).eval()


def write_ensemble(path: Path) -> None:
    """Write the ensemble as the model file `path`: crops uint8 [N,1,64,64] → probabilities [N,4]; takes seconds."""
    export_graph(make_ensemble(), CARD, path)
