"""Fit a network by a recipe into a run folder, from pictures on disk. Needs torch and Lightning; runs alone."""

import logging
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch.utils.data import DataLoader, TensorDataset

from shadowline.errors import StationError
from training.batches import Batches, Steps, Teacher, open_loader
from training.data import Manifest, Split, Tree, check_split, make_manifest
from training.data.boxes import box_notes, boxes_of
from training.fitting import Averaging, Fitting, Lines, class_weights, epoch_words
from training.machine import Machine, epochs_done, keep_memory, stop_told, workers_of
from training.networks import open_network, settle
from training.recipe import Recipe
from training.runs import (
    Run,
    RunPaths,
    check_tree,
    full_disk_told,
    load_run,
    read_settings,
    save_network,
    save_settings,
)
from training.samples import Sampler, Samples, exact_crops, pictures_of, sources_of

__all__ = ["fit", "fit_tree", "open_tree"]

_EVALUATION_BATCH = 64
_log = logging.getLogger(__name__)


def open_tree(recipe: Recipe, data: Path) -> tuple[Tree, Manifest]:
    """Read the pictures of a recipe below `data` and split them. Raises `StationError` when they can't be used."""
    tree = pictures_of(recipe, data)
    train, val, test = recipe.fractions
    fractions: dict[Split, float] = {"train": train, "val": val, "test": test}
    manifest = make_manifest(tree, recipe.split_seed, fractions, recipe.group_pattern, recipe.fold)
    check_split(manifest)
    if manifest.skipped:
        path, reason = next(iter(manifest.skipped.items()))
        _log.warning("%d pictures left out (all in the manifest), first %s: %s", len(manifest.skipped), path, reason)
    notes = manifest.notes
    if recipe.boxes is not None and recipe.head != "multi_label":
        notes += tuple(box_notes(boxes_of(tree, data / recipe.boxes, recipe.aliases, recipe.box_size_px)))
    for note in notes:
        _log.info("%s", note)
    return tree, manifest


def fit(
    recipe: Recipe,
    data: Path,
    folder: Path,
    machine: Machine | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Run:
    """Train `recipe` on the pictures below `data` into the run folder `folder` and return the finished run.

    Test pictures are hashed and set aside here, and never looked at. `resume` goes on with a run that was cut off,
    by the recipe and split in its folder. Raises `StationError` when the data can't be used or nothing can be written.
    """
    if not resume:
        tree, manifest = open_tree(recipe, data)
        return fit_tree(recipe, tree, manifest, data, folder, machine, console)
    recipe, manifest = read_settings(folder)
    if RunPaths(folder).network.exists():
        return load_run(folder)
    tree = pictures_of(recipe, data)
    check_tree(tree, manifest, folder)
    return _train(recipe, tree, manifest, data, folder, machine or Machine(), console)


def fit_tree(
    recipe: Recipe,
    tree: Tree,
    manifest: Manifest,
    data: Path,
    folder: Path,
    machine: Machine | None = None,
    console: Console | None = None,
    also: Callable[[Mapping[str, float]], None] | None = None,
) -> Run:
    """Train on pictures that are read and split already; `also` is given each epoch's figures, and may raise."""
    recipe = settle(recipe, len(manifest.of("train")))
    _check_labels(recipe, manifest)
    return _train(recipe, tree, manifest, data, folder, machine or Machine(), console, also, new=True)


def _train(
    recipe: Recipe,
    tree: Tree,
    manifest: Manifest,
    data: Path,
    folder: Path,
    machine: Machine,
    console: Console | None,
    also: Callable[[Mapping[str, float]], None] | None = None,
    new: bool = False,
) -> Run:
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    keep_memory()
    paths = RunPaths(folder)
    network, report = open_network(recipe, len(manifest.labels))
    if report is not None:
        _log.info("starting weights: %s", report.text())
    train = sources_of(recipe, tree, manifest, data, "train")
    held = {name: part for name, part in sources_of(recipe, tree, manifest, data, "val").items() if len(part)}
    teacher = None if recipe.teacher is None else Teacher(recipe.teacher, recipe, manifest)
    weights = class_weights(train["whole"].classes, len(manifest.labels), recipe.class_weights)
    fitting = Fitting(network, recipe, tuple(held), weights)
    lines = Lines(paths.metrics, recipe.name, console or Console(stderr=True), epoch_words, also or (lambda _: None))
    trainer = _trainer(recipe, machine, paths, lines)
    if new and trainer.is_global_zero:
        save_settings(folder, recipe, manifest)
    resumed = paths.last_checkpoint if paths.last_checkpoint.exists() else None
    done = epochs_done(resumed)  # Lightning makes the first iterator before it knows
    steps = Steps(_steps(recipe), lambda: max(done, trainer.current_epoch), trainer.global_rank, trainer.world_size)
    loader = open_loader(Batches(Sampler(train, recipe), recipe, teacher), steps, workers_of(machine, trainer))
    with full_disk_told(folder), stop_told(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers
        trainer.fit(
            fitting,
            loader,
            [_held_loader(part, recipe) for part in held.values()],
            ckpt_path=resumed,
            weights_only=False,  # our own file; it holds the optimiser's state
        )
        if trainer.interrupted:
            raise KeyboardInterrupt
        best = torch.load(paths.checkpoints / "best.ckpt", map_location="cpu", weights_only=False)["state_dict"]
    network.load_state_dict({k.removeprefix("network."): v for k, v in best.items() if k.startswith("network.")})
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        save_network(folder, network)
        shutil.rmtree(paths.checkpoints)
    return Run(paths, recipe, manifest, network.to("cpu").eval())


def _check_labels(recipe: Recipe, manifest: Manifest) -> None:
    """Refuse what would only fail after the training."""
    if len(manifest.labels) < 2:
        raise StationError(f"one class, {manifest.labels[0]}: there is nothing to tell it from; add a folder of others")
    if strangers := sorted(set(recipe.costs) - set(manifest.labels)):
        raise StationError(f"costs: {', '.join(strangers)} is no class; these are {', '.join(manifest.labels)}")


def _trainer(recipe: Recipe, machine: Machine, paths: RunPaths, lines: Callback) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    checkpoints = [  # two, as Lightning's `save_last` leaves no more than a copy of the best one
        ModelCheckpoint(paths.checkpoints, name, monitor, enable_version_counter=False, save_on_train_epoch_end=True)
        for name, monitor in (("best", "val_loss"), (paths.last_checkpoint.stem, None))
    ]
    callbacks = [
        *([Averaging(recipe.average)] if recipe.average else []),
        EarlyStopping("val_loss", patience=recipe.patience or 1, check_finite=True),
        *checkpoints,
        LearningRateMonitor("epoch"),
        lines,
    ]
    return lightning.Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=machine.nodes,
        precision=_precision(recipe, machine),
        max_epochs=recipe.epochs,
        callbacks=callbacks,
        logger=TensorBoardLogger(paths.folder, name="", version="tensorboard"),
        log_every_n_steps=max(1, _steps(recipe) // 4),
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _precision(recipe: Recipe, machine: Machine) -> Any:
    if recipe.precision == "auto":
        on_gpu = machine.accelerator != "cpu" and torch.cuda.is_available()
        return "bf16-mixed" if on_gpu or recipe.is_small else "32-true"
    return {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[recipe.precision]


def _steps(recipe: Recipe) -> int:
    if recipe.epoch_crops is None:
        raise StationError("the recipe is not settled")
    return max(1, recipe.epoch_crops // recipe.batch)


def _held_loader(samples: Samples, recipe: Recipe) -> DataLoader[tuple[torch.Tensor, ...]]:
    crops = torch.from_numpy(exact_crops(samples, recipe.crop))
    return DataLoader(TensorDataset(crops, torch.from_numpy(np.asarray(samples.targets))), _EVALUATION_BATCH)
