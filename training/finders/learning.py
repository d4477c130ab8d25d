"""One way of learning for all finders: running average, cosine, checkpoints, figures an epoch. Needs torch."""

import logging
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from shadowline.errors import StationError
from training.batches import Steps
from training.data.marked import Marked
from training.finders.pictures import Drawn, Sample
from training.finders.recipe import FinderRecipe
from training.fitting import Averaging, Lines, cosine
from training.machine import Machine, epochs_done, keep_memory, stop_told, workers_of
from training.runs import RunPaths, full_disk_told, save_network

__all__ = ["Task", "learn", "steps_of"]

_CLIP = 10.0


class Task(Protocol):
    """What a kind of finder brings: its network, its losses, and how it is measured. One object a training."""

    network: nn.Module
    """Takes pictures uint8 [N,1,H,W]; its module `trunk`, wherever it lies, learns at the trunk's rate."""
    best: str
    """The figure of `measure` by which the best weights are kept; higher is better."""

    def losses(self, samples: Sequence[Sample], device: torch.device) -> Mapping[str, Tensor]:
        """Return the parts of a batch's loss, whose sum is learnt from."""

    def measure(self, device: torch.device) -> Mapping[str, float]:
        """Return figures of the validation side; the network is in evaluation mode, with averaged weights."""


class _Learning(lightning.LightningModule):
    def __init__(self, task: Task, recipe: FinderRecipe) -> None:
        super().__init__()
        self.network = task.network
        self._task, self._recipe = task, recipe

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self._recipe.seed * 100_003 + self.current_epoch)  # repeats after a resume

    def training_step(self, samples: Sequence[Sample], _number: int) -> Tensor:
        parts = self._task.losses(samples, self.device)
        loss = torch.stack(list(parts.values())).sum()
        figures = {"train_loss": loss, **{f"train_{name}": part for name, part in parts.items()}}
        self.log_dict(
            {k: v.detach() for k, v in figures.items()}, on_step=False, on_epoch=True, batch_size=len(samples)
        )
        return loss

    def validation_step(self, _: Any, _number: int) -> None:
        self.log_dict({f"val_{k}": v for k, v in self._task.measure(self.device).items()}, batch_size=1, sync_dist=True)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # the task moves what it makes of the samples

    def configure_optimizers(self) -> Any:
        recipe = self._recipe
        groups = _groups(self.network, recipe.learning_rate, recipe.trunk_rate, recipe.weight_decay)
        optimizer = torch.optim.AdamW(groups, recipe.learning_rate)
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def learn(
    task: Task,
    recipe: FinderRecipe,
    pictures: Sequence[Marked],
    labels: Sequence[str],
    folder: Path,
    machine: Machine,
    console: Console | None = None,
    with_defect: bool = False,
) -> nn.Module:
    """Train the task's network on `pictures` into a run folder that holds its settings; return it, finished.

    It goes on from the folder's last checkpoint, where there is one. Raises `StationError` when it is stopped or
    nothing can be written.
    """
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    keep_memory()
    paths = RunPaths(folder)
    steps = steps_of(recipe, len(pictures))
    plain_from = round((1 - recipe.augment.plain) * recipe.epochs) * steps
    drawn = Drawn(pictures, labels, recipe, plain_from, with_defect)
    every = min(recipe.measure_every, recipe.epochs)
    lines = Lines(paths.metrics, recipe.name, console or Console(stderr=True), _words(task.best), every=every)
    trainer = _trainer(task, recipe, machine, paths, lines)
    resumed = paths.last_checkpoint if paths.last_checkpoint.exists() else None
    done = epochs_done(resumed)  # Lightning makes the first iterator before it knows
    numbers = Steps(steps, lambda: max(done, trainer.current_epoch), trainer.global_rank, trainer.world_size)
    with full_disk_told(folder), stop_told(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers
        trainer.fit(
            _Learning(task, recipe),
            _loader(drawn, numbers, workers_of(machine, trainer)),
            DataLoader([0]),  # one step: the task measures all pictures in it
            ckpt_path=resumed,
            weights_only=False,  # our own file; it holds the optimiser's state
        )
        if trainer.interrupted:
            raise KeyboardInterrupt
        kept = paths.last_checkpoint if recipe.learn_all else paths.checkpoints / "best.ckpt"
        best = torch.load(kept, map_location="cpu", weights_only=False)["state_dict"]
    task.network.to("cpu").load_state_dict(
        {k.removeprefix("network."): v for k, v in best.items() if k.startswith("network.")}
    )
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        save_network(folder, task.network)
        shutil.rmtree(paths.checkpoints)
    return task.network.eval()


def steps_of(recipe: FinderRecipe, pictures: int) -> int:
    """Return the steps of an epoch. Raises `StationError` where there is nothing to learn from."""
    if not pictures:
        raise StationError("no picture to learn from: the training side is empty")
    return max(1, (recipe.epoch_pictures or pictures) // recipe.batch)


def _trainer(task: Task, recipe: FinderRecipe, machine: Machine, paths: RunPaths, lines: Lines) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    keep = {"dirpath": paths.checkpoints, "enable_version_counter": False}
    callbacks = [
        *([Averaging(recipe.average)] if recipe.average else []),
        ModelCheckpoint(filename="best", monitor=f"val_{task.best}", mode="max", **keep),
        ModelCheckpoint(filename=paths.last_checkpoint.stem, save_on_train_epoch_end=True, **keep),
        LearningRateMonitor("epoch"),
        lines,
    ]
    return lightning.Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=machine.nodes,
        precision={"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[recipe.precision],
        max_epochs=recipe.epochs,
        check_val_every_n_epoch=min(recipe.measure_every, recipe.epochs),
        gradient_clip_val=_CLIP,
        callbacks=callbacks,
        logger=TensorBoardLogger(paths.folder, name="", version="tensorboard"),
        log_every_n_steps=1000,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _loader(drawn: Drawn, numbers: Steps, workers: int) -> DataLoader[Any]:
    return DataLoader(
        drawn,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=lambda samples: samples,
        generator=torch.Generator(),  # its own, so that making an iterator takes nothing from the network's
    )


def _groups(network: nn.Module, rate: float, trunk_rate: float, decay: float) -> list[dict[str, Any]]:
    """Return the parameters that learn: trunk and others at their rates, vectors (biases, norms) without decay."""
    found: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            found.setdefault(("trunk." in f".{name}", parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rate * (trunk_rate if in_trunk else 1),
            "weight_decay": decay if is_matrix else 0.0,
        }
        for (in_trunk, is_matrix), parameters in found.items()
    ]


def _words(best: str) -> Callable[[Mapping[str, float]], str]:
    """Return what puts an epoch's figures into a few words."""

    def words(figures: Mapping[str, float]) -> str:
        measured = f", validation {best} {figures[f'val_{best}']:.3f}" if f"val_{best}" in figures else ""
        return f"train loss {figures['train_loss']:.3f}{measured}"

    return words
