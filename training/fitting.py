"""Learning as Lightning sees it: steps, losses, rates, running average, and a line of figures an epoch. Needs torch."""

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, TaskID
from torch import Tensor
from torch.nn import functional

from training.networks import Network
from training.recipe import Recipe

__all__ = ["Averaging", "Fitting", "Lines", "class_weights", "cosine", "epoch_words", "loss_of"]

_WARM_UP_PART = 0.05


class Fitting(lightning.LightningModule):
    """A network that learns from batches by a settled recipe, and is measured on the sources of the validation side.

    `weights` float32 [C] is what a class counts in the loss. Logs `train_loss`, `<source>_loss`, `<source>_accuracy`
    and `val_loss`, the mean of the sources' losses: what checkpoint and early stop go by.
    """

    def __init__(self, network: Network, recipe: Recipe, sources: tuple[str, ...], weights: Tensor) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self._sources = sources
        self._answers: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self.register_buffer("weights", weights, persistent=False)
        if recipe.trunk_rate == 0:
            network.trunk.requires_grad_(False)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self.recipe.seed * 100_003 + self.current_epoch)  # dropout and mixup repeat after a resume
        if self.recipe.trunk_rate == 0:
            self.network.trunk.eval()

    def training_step(self, batch: tuple[Tensor, Tensor], _number: int) -> Tensor:
        crops, targets = batch
        if self.recipe.mixup > 0:
            crops, targets = _mix(crops, targets, self.recipe.mixup)
        loss = loss_of(self.network(crops), targets, self.recipe, self.weights, self.recipe.label_smoothing)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(crops))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _number: int, dataloader_idx: int = 0) -> None:
        crops, targets = batch
        parts = self._answers.setdefault(self._sources[dataloader_idx], [])
        parts.append((self.network(crops).float(), targets))

    def on_validation_epoch_end(self) -> None:
        losses = []
        for source, parts in self._answers.items():
            outputs, targets = (torch.cat(part) for part in zip(*parts, strict=True))
            loss = loss_of(outputs, targets, self.recipe, torch.ones_like(self.weights), 0.0)
            losses.append(loss)
            self.log(f"{source}_loss", loss, sync_dist=True)
            self.log(f"{source}_accuracy", _accuracy(outputs, targets, self.recipe.head), sync_dist=True)
        self.log("val_loss", torch.stack(losses).mean(), sync_dist=True)
        self._answers.clear()

    def configure_optimizers(self) -> Any:
        recipe, rate = self.recipe, self.recipe.learning_rate
        assert rate is not None  # the recipe is settled
        groups = [
            {"params": [*self.network.pool.parameters(), *self.network.head.parameters()], "lr": rate},
            {"params": self.network.trunk.parameters(), "lr": rate * recipe.trunk_rate},
        ]
        groups = [group for group in groups if group["lr"]]
        if recipe.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                groups, rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
            )
        elif recipe.optimizer == "adam":
            optimizer = torch.optim.Adam(groups, rate)
        else:
            optimizer = torch.optim.AdamW(groups, rate, weight_decay=recipe.weight_decay)
        if recipe.schedule == "constant":
            return optimizer
        if recipe.schedule == "plateau":
            patience = max(1, (recipe.patience or 1) // 3)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=patience)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def epoch_words(figures: Mapping[str, float]) -> str:
    """Return an epoch's losses and share of right answers in a few words."""
    accuracy = np.mean([value for name, value in figures.items() if name.endswith("_accuracy")])
    return f"train loss {figures['train_loss']:.3f}, validation loss {figures['val_loss']:.3f}, right {accuracy:.1%}"


def loss_of(outputs: Tensor, targets: Tensor, recipe: Recipe, weights: Tensor, smoothing: float) -> Tensor:
    """Return the mean loss of outputs [n,K] against targets [n,C], which may lie between 0 and 1."""
    outputs = outputs.float()
    if recipe.loss == "mse":
        return ((outputs - targets).square() * (targets @ weights)[:, None]).mean()
    if recipe.head == "softmax":
        return functional.cross_entropy(outputs, targets, weights, label_smoothing=smoothing)
    counts = targets * weights + (1 - targets)
    if recipe.head == "sigmoid":
        targets, counts = targets[:, 1:], (targets @ weights)[:, None]
    smooth = targets * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs, smooth, counts)


class Averaging(WeightAveraging):
    """A running average of the weights that follows quickly at first: the first weights are soon forgotten."""

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=_running_average(decay))


class Lines(Callback):
    """Writes a JSON line of figures an epoch to `path`, and tells the console: a bar, or lines where it is a file."""

    def __init__(
        self,
        path: Path,
        name: str,
        console: Console,
        words: Callable[[Mapping[str, float]], str],
        also: Callable[[Mapping[str, float]], None] = lambda _: None,
        every: int = 1,
    ) -> None:
        """`words` puts an epoch's figures into a few words; `also` is given them as well, and may raise.

        The validation side is measured in each `every`th epoch; in the others it has no figures.
        """
        self._path, self._name, self._console, self._words, self._also = path, name, console, words, also
        self._every = every
        self._progress = Progress(console=console, disable=not console.is_terminal)
        self._task = TaskID(0)
        self._start_s = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        total, done = int(trainer.estimated_stepping_batches), trainer.global_step
        self._progress.start()
        self._task = self._progress.add_task(self._name, total=total, completed=done)

    def on_train_batch_end(self, *_: Any) -> None:
        self._progress.advance(self._task)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        measured = (trainer.current_epoch + 1) % self._every == 0
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if measured or not name.startswith("val_")
        }
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": trainer.current_epoch, "learning_rate": rate, **figures}
        if trainer.is_global_zero:
            with self._path.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            self._tell(trainer, figures)
        self._also(row)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._progress.stop()

    def on_exception(self, *_: Any) -> None:
        self._progress.stop()

    def _tell(self, trainer: lightning.Trainer, figures: Mapping[str, float]) -> None:
        line = (
            f"{self._name}: epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, "
            f"{self._words(figures)}, {time.monotonic() - self._start_s:.0f} s"
        )
        self._console.print(line, highlight=False, soft_wrap=True)


def _mix(crops: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend each crop and its targets with another's (Zhang et al. 2018)."""
    share = torch.distributions.Beta(alpha, alpha).sample().to(targets)
    order = torch.randperm(len(crops), device=crops.device)
    levels = crops.float()
    return share * levels + (1 - share) * levels[order], share * targets + (1 - share) * targets[order]


def _accuracy(outputs: Tensor, targets: Tensor, head: str) -> Tensor:
    """Return the share of right answers; of all single yes or no answers for several labels at once."""
    if head == "multi_label":
        return ((outputs > 0) == (targets > 0.5)).float().mean()
    named = (outputs[:, 0] > 0).long() if head == "sigmoid" else outputs.argmax(1)
    return (named == targets.argmax(1)).float().mean()


def cosine(step: int, total: int) -> float:
    """Return the rate of a step as a part of the highest: a linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(_WARM_UP_PART * total))
    if step < warm_up:
        return (step + 1) / warm_up
    return (1 + math.cos(math.pi * min(1, (step - warm_up) / max(1, total - warm_up)))) / 2


def _running_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    def rule(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return average.lerp(current, 1 - kept) if average.is_floating_point() else current

    return rule


def class_weights(classes: NDArray[np.int64], count: int, rule: str) -> Tensor:
    """Return what each of `count` classes counts in the loss; `balanced` makes up for their numbers, mean 1."""
    if rule == "none":
        return torch.ones(count)
    numbers = np.maximum(np.bincount(classes, minlength=count), 1)
    return torch.from_numpy((len(classes) / (count * numbers)).astype(np.float32))
