"""Which cell learns which box, and how well it is expected to do; the losses that follow. Needs torch.

Task-aligned assignment (TOOD, Feng et al. 2021): a box is learnt by the cells inside it that already tell it best, by
label and by box at once, and the score they should reach is how well their boxes fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_iou, generalized_box_iou_loss

from training.finders.detect_network import Dense
from training.finders.pictures import Sample

__all__ = ["Targets", "assign", "detect_losses", "marks_of"]

_CELLS = 13
"""Cells that learn a box."""
_LABEL_POWER, _FIT_POWER = 1.0, 6.0
_TINY = 1e-9
_EASY_POWER, _EASY_PART = 2.0, 0.75
"""Of the varifocal loss (Zhang et al. 2021): how little cells count that rightly tell nothing."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What N pictures' cells should say: scores [N,A,C], boxes [N,A,4], and which cells learn a box [N,A]."""

    scores: Tensor
    boxes: Tensor
    learns: Tensor


def marks_of(samples: Sequence[Sample], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes [N,M,4], classes [N,M] and which are real [N,M], padded to the most of a picture, at least 1."""
    boxes = [torch.from_numpy(sample.boxes) for sample in samples] + [torch.zeros(1, 4)]
    classes = [torch.from_numpy(sample.classes) for sample in samples] + [torch.zeros(1, dtype=torch.int64)]
    real = [torch.ones(len(one), dtype=torch.bool) for one in classes]
    padded = [pad_sequence(part, batch_first=True)[:-1].to(device) for part in (boxes, classes, real)]
    return padded[0], padded[1], padded[2]


@torch.no_grad()
def assign(dense: Dense, boxes: Tensor, classes: Tensor, real: Tensor) -> Targets:
    """Return what cells should say of boxes [N,M,4] with `classes` [N,M]; `real` [N,M] tells boxes from padding."""
    overlap = torch.stack([box_iou(marked, told) for marked, told in zip(boxes, dense.boxes, strict=True)])
    chances = dense.logits.sigmoid().transpose(1, 2).gather(1, classes[..., None].expand(-1, -1, len(dense.points)))
    fits = chances**_LABEL_POWER * overlap**_FIT_POWER
    allowed = _inside(dense, boxes) & real[..., None]
    chosen = _best_cells(torch.where(allowed, fits, -1.0)) & allowed
    several = chosen.sum(1, keepdim=True) > 1
    nearest = functional.one_hot((overlap * chosen).argmax(1), boxes.shape[1]).transpose(1, 2).bool()
    chosen &= ~several | nearest
    fits, overlap = fits * chosen, overlap * chosen
    expected = fits / (fits.amax(2, keepdim=True) + _TINY) * overlap.amax(2, keepdim=True)  # [N,M,A]
    owner = chosen.to(torch.float32).argmax(1)
    learns = chosen.any(1)
    labels = functional.one_hot(classes.gather(1, owner), dense.logits.shape[2])
    scores = labels * (expected.amax(1) * learns)[..., None]
    return Targets(scores, boxes.gather(1, owner[..., None].expand(-1, -1, 4)), learns)


def detect_losses(dense: Dense, targets: Targets) -> dict[str, Tensor]:
    """Return the loss of the scores and that of the boxes, each over what the pictures' marked boxes are worth."""
    chances = dense.logits.detach().sigmoid()
    weight = torch.where(targets.scores > 0, targets.scores, _EASY_PART * chances**_EASY_POWER)
    worth = targets.scores.sum().clamp(min=1.0)
    labels = functional.binary_cross_entropy_with_logits(dense.logits, targets.scores, weight, reduction="sum")
    fit = generalized_box_iou_loss(dense.boxes[targets.learns], targets.boxes[targets.learns])
    return {"labels": labels / worth, "boxes": (fit * targets.scores[targets.learns].sum(1)).sum() / worth}


def _inside(dense: Dense, boxes: Tensor) -> Tensor:
    """Return which cells' middles lie in which boxes [N,M,A]; boxes smaller than a cell are taken as large as it."""
    middles, halves = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    reach = torch.maximum(halves[:, :, None], dense.strides[:, None] / 2)
    return ((dense.points - middles[:, :, None]).abs() < reach).all(3)


def _best_cells(fits: Tensor) -> Tensor:
    """Return the best few cells of each box [N,M,A]."""
    rows = fits.topk(min(_CELLS, fits.shape[2]), dim=2).indices
    return torch.zeros_like(fits, dtype=torch.bool).scatter_(2, rows, True)
