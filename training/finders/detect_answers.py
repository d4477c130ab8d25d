"""From what cells say to boxes with scores and labels: the graph that a finder file holds. Needs torch."""

from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from training.finders.detect_network import Dense, DetectNetwork

__all__ = ["OUTPUTS", "Serving", "Views", "best"]

OUTPUTS = ("boxes", "scores", "labels")

Views: TypeAlias = Literal[1, 2, 4]
"""As it is; and mirrored left to right; and both of these upside down."""

_FLIPS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))


class Serving(nn.Module):
    """The graph of a finder file: uint8 pictures to the best candidates, without suppression of overlaps.

    With several `views` each picture is looked at mirrored too, and every cell says the mean: better, and as many
    times the cost.
    """

    def __init__(self, network: DetectNetwork, candidates: int, input_px: tuple[int, int], views: Views = 1) -> None:
        super().__init__()
        self.network, self.candidates, self.input_px = network, candidates, input_px
        self.flips = _FLIPS[:views]
        rows = [_mirrored_rows(input_px, network.pyramid.strides, flips) for flips in self.flips]
        self.register_buffer("rows", torch.stack(rows), persistent=False)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes [N,K,4], scores [N,K] of falling order and labels [N,K] of pictures [N,1,H,W]."""
        dense: Dense = self.network(torch.cat([frames.flip(flips) if flips else frames for flips in self.flips]))
        if len(self.flips) > 1:
            dense = self._mean(dense)
        return best(dense, self.candidates, self.input_px)

    def _mean(self, dense: Dense) -> Dense:
        """Return the mean of the views, which lie behind each other in the batch."""
        views, rows = len(self.flips), cast(Tensor, self.rows)
        logits, boxes = (part.reshape(views, -1, *part.shape[1:]) for part in (dense.logits, dense.boxes))
        turned = [logits[view][:, rows[view]] for view in range(views)]
        seen = [self._mirrored(boxes[view][:, rows[view]], flips) for view, flips in enumerate(self.flips)]
        return Dense(torch.stack(turned).mean(0), torch.stack(seen).mean(0), dense.points, dense.strides)

    def _mirrored(self, boxes: Tensor, flips: tuple[int, ...]) -> Tensor:
        left, top, right, bottom = boxes.unbind(-1)
        if 3 in flips:
            left, right = self.input_px[1] - right, self.input_px[1] - left
        if 2 in flips:
            top, bottom = self.input_px[0] - bottom, self.input_px[0] - top
        return torch.stack([left, top, right, bottom], -1)


def best(dense: Dense, count: int, input_px: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the `count` best boxes [N,K,4], scores [N,K] and labels [N,K]; a cell may tell several labels."""
    labels = dense.logits.shape[2]
    most = min(count, labels * dense.logits.shape[1])
    scores, rows = dense.logits.sigmoid().flatten(1).topk(most, dim=1)
    cells = (rows // labels)[..., None].expand(-1, -1, 4)
    boxes = clip_boxes_to_image(dense.boxes.gather(1, cells), input_px)
    return boxes, scores, rows % labels


def _mirrored_rows(input_px: tuple[int, int], strides: list[int], flips: tuple[int, ...]) -> Tensor:
    """Return for each cell's row the row of the cell that lies there in a mirrored picture."""
    rows: list[Tensor] = []
    first = 0
    for stride in strides:
        height, width = (side // stride for side in input_px)
        numbers = torch.arange(first, first + height * width).reshape(height, width)
        rows.append(numbers.flip([axis - 2 for axis in flips]).flatten())
        first += height * width
    return torch.cat(rows)
