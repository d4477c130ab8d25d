"""Which cells learn which box, and what follows from it for the loss."""

import pytest
import torch

from training.finders.detect_network import Dense
from training.finders.detect_targets import assign, detect_losses, marks_of
from training.finders.pictures import Sample

CELL, SIDE = 8, 64


def dense(boxes, logits, labels=2):
    """A grid of 8×8 cells of which each tells the same box, or boxes [A,4], with the same logits."""
    line = torch.arange(CELL / 2, SIDE, CELL)
    points = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)
    told = torch.as_tensor(boxes, dtype=torch.float32).expand(len(points), 4)[None].clone()
    return Dense(
        torch.as_tensor(logits, dtype=torch.float32).expand(1, len(points), labels).clone(),
        told,
        points,
        torch.full((len(points),), float(CELL)),
    )


def marks(*boxes, classes=None):
    sample = Sample(
        None,
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4).numpy(),
        torch.tensor(classes or [0] * len(boxes), dtype=torch.int64).numpy(),
    )
    return marks_of([sample], torch.device("cpu"))


def test_only_cells_inside_a_box_learn_it_and_the_best_is_expected_to_fit():
    targets = assign(dense((16, 16, 48, 48), (1.0, -1.0)), *marks((16, 16, 48, 48)))
    cells = targets.learns.reshape(8, 8)
    assert cells[2:6, 2:6].sum() == cells.sum() == 13
    assert targets.scores.max() == pytest.approx(1.0, abs=1e-4)
    assert targets.scores[..., 1].max() == 0


def test_a_box_smaller_than_a_cell_is_learnt_by_a_cell():
    targets = assign(dense((32, 32, 34, 35), (0.0, 0.0)), *marks((33, 33, 35, 36)))
    assert targets.learns.sum() >= 1


def test_a_picture_without_boxes_expects_nothing_and_still_has_a_loss():
    there = dense((0, 0, 9, 9), (2.0, 2.0))
    targets = assign(there, *marks())
    losses = detect_losses(there, targets)
    assert not targets.learns.any()
    assert losses["labels"] > 1
    assert losses["boxes"] == 0


def test_a_cell_between_two_boxes_learns_the_one_it_fits_better():
    targets = assign(dense((0, 0, 40, 40), (1.0, 1.0)), *marks((0, 0, 40, 40), (8, 8, 64, 64), classes=[0, 1]))
    learnt = targets.boxes[targets.learns]
    assert (learnt == torch.tensor([0.0, 0.0, 40.0, 40.0])).all(1).sum() == 13
    assert (targets.scores > 0).sum(2).max() == 1


def test_padding_is_learnt_by_nobody():
    one = Sample(None, torch.tensor([[0.0, 0, 60, 60]]).numpy(), torch.tensor([1]).numpy())
    none = Sample(None, torch.zeros(0, 4).numpy(), torch.zeros(0, dtype=torch.int64).numpy())
    boxes, classes, real = marks_of([one, none], torch.device("cpu"))
    two = dense((0, 0, 60, 60), (0.0, 0.0))
    both = Dense(two.logits.repeat(2, 1, 1), two.boxes.repeat(2, 1, 1), two.points, two.strides)
    assert assign(both, boxes, classes, real).learns.any(1).tolist() == [True, False]


def test_learning_brings_boxes_and_scores_to_the_marks():
    there = dense((10, 10, 50, 50), (0.0, 0.0))
    logits, boxes = there.logits.requires_grad_(), there.boxes.requires_grad_()
    optimizer = torch.optim.Adam([logits, boxes], 1.0)
    wanted = marks((16, 12, 48, 40), classes=[1])
    for _ in range(60):
        now = Dense(logits, boxes, there.points, there.strides)
        loss = torch.stack(list(detect_losses(now, assign(now, *wanted)).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    best = logits[0].sigmoid().flatten().argmax()
    assert best % 2 == 1
    assert logits.sigmoid().max() > 0.8
    assert torch.allclose(boxes[0, best // 2].detach(), torch.tensor([16.0, 12, 48, 40]), atol=2)
