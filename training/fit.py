"""Fit a network by a recipe into a run directory: recipe, manifest, metrics, checkpoint. Needs torch; runs alone."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from training.data import Manifest, Split, Tree, make_manifest, read_tree
from training.networks import build_network, scale_crops
from training.recipe import Recipe
from training.samples import Sampler, Samples, box_samples, exact_crops, render_samples, whole_samples

__all__ = ["CHECKPOINT", "MANIFEST", "METRICS", "RECIPE", "fit", "logits_of", "sources_of"]

CHECKPOINT, MANIFEST, METRICS, RECIPE = "checkpoint.pt", "manifest.json", "metrics.jsonl", "recipe.json"
_EVALUATION_BATCH = 128
_WARM_UP_PART = 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """Crops and classes of one source, held fixed for measuring."""

    crops: NDArray[np.uint8]
    classes: NDArray[np.int64]


def fit(recipe: Recipe, data: Path, run: Path, threads: int) -> None:
    """Train `recipe` on the pictures below `data` and leave the best checkpoint on the validation split in `run`.

    Test pictures are hashed and set aside here, and never looked at. Raises `StationError` when the data can't be
    read.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    run.mkdir(parents=True, exist_ok=True)
    tree = read_tree(data / recipe.pictures)
    for path, reason in tree.skipped.items():
        _log.warning("skipped %s: %s", path, reason)
    train, val, test = recipe.fractions
    manifest = make_manifest(tree, recipe.seed, {"train": train, "val": val, "test": test})
    (run / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    (run / RECIPE).write_text(recipe.model_dump_json(indent=1))
    held = {
        name: _Held(exact_crops(samples, recipe.crop), samples.classes)
        for name, samples in sources_of(recipe, tree, manifest, data, "val").items()
    }
    shares = recipe.mix.model_dump()
    sources = sources_of(recipe, tree, manifest, data, "train")
    sampler = Sampler([(shares[name], samples) for name, samples in sources.items()], recipe)
    _train(recipe, len(manifest.labels), sampler, held, run)


def sources_of(recipe: Recipe, tree: Tree, manifest: Manifest, data: Path, split: Split) -> dict[str, Samples]:
    """Return one side's samples by source: `whole`, and `box`, `render`, `found` where the recipe asks for them."""
    sources = {"whole": whole_samples(tree, manifest, split)}
    if recipe.boxes is not None:
        sources["box"] = box_samples(tree, manifest, split, data / recipe.boxes)
    if recipe.renders is not None:
        sources.update(render_samples(recipe.renders, manifest.labels, split))
    return sources


def logits_of(network: nn.Module, kind: str, crops: NDArray[np.uint8]) -> Tensor:
    """Return a network's outputs [N,C] in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        parts = (torch.from_numpy(crops[i : i + _EVALUATION_BATCH]) for i in range(0, len(crops), _EVALUATION_BATCH))
        return torch.cat([network(scale_crops(part, kind)) for part in parts])


def _train(recipe: Recipe, classes: int, sampler: Sampler, held: dict[str, _Held], run: Path) -> None:
    network = build_network(recipe.network, classes, recipe.crop.size_px)
    network = network.to(memory_format=torch.channels_last)
    steps = max(1, recipe.epoch_crops // recipe.batch)
    rates = _rates(recipe, steps)
    optimizer = _optimizer(network, recipe)
    averaged = AveragedModel(network, avg_fn=_running_average(recipe.average), use_buffers=True)
    best, since = math.inf, 0
    with Progress() as progress, (run / METRICS).open("w") as metrics:
        task = progress.add_task(recipe.name, total=recipe.epochs * steps)
        for epoch in range(recipe.epochs):
            network.train()
            total = 0.0
            for _ in range(steps):
                for group in optimizer.param_groups:
                    group["lr"] = next(rates)
                total += _step(network, recipe, optimizer, sampler.batch(recipe.batch))
                averaged.update_parameters(network)
                progress.advance(task)
            row = _measure(averaged.module, recipe.network, held)
            metrics.write(json.dumps({"epoch": epoch, "train_loss": total / steps, **row}) + "\n")
            metrics.flush()
            progress.update(task, description=f"{recipe.name} val {row['loss']:.4f}")
            since += 1
            if row["loss"] < best:
                best, since = row["loss"], 0
                torch.save(averaged.module.state_dict(), run / CHECKPOINT)
            if since >= recipe.patience:
                return


def _step(
    network: nn.Module,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    batch: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> float:
    """Learn from one batch and return its loss."""
    crops, classes = (torch.from_numpy(part) for part in batch)
    scaled = scale_crops(crops, recipe.network).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):  # half the time on a CPU that has it; weights stay fp32
        outputs = network(scaled).float()
    if recipe.network == "original":
        loss = functional.mse_loss(outputs, functional.one_hot(classes, outputs.shape[1]).to(outputs.dtype))
    else:
        loss = functional.cross_entropy(outputs, classes, label_smoothing=recipe.label_smoothing)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _measure(network: nn.Module, kind: str, held: dict[str, _Held]) -> dict[str, float]:
    """Return accuracy and loss of each source, and `loss`, their mean: what the checkpoint is chosen by."""
    row: dict[str, float] = {}
    for name, part in held.items():
        outputs, classes = logits_of(network, kind, part.crops), torch.from_numpy(part.classes)
        if kind == "original":
            loss = functional.mse_loss(outputs, functional.one_hot(classes, outputs.shape[1]).to(outputs.dtype))
        else:
            loss = functional.cross_entropy(outputs, classes)
        row[f"{name}_loss"] = float(loss)
        row[f"{name}_accuracy"] = float((outputs.argmax(1) == classes).float().mean())
    row["loss"] = float(np.mean([row[f"{name}_loss"] for name in held]))
    return row


def _running_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return the rule of a running average that follows quickly at first: the first weights are soon forgotten."""

    def rule(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return average.lerp(current, 1 - kept) if average.is_floating_point() else current

    return rule


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.network == "original":
        return torch.optim.Adam(network.parameters(), recipe.learning_rate)
    return torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)


def _rates(recipe: Recipe, steps: int) -> Iterator[float]:
    """Yield the learning rate of each step: a linear warm-up, then half a cosine down to zero."""
    total = recipe.epochs * steps
    warm_up = max(1, round(_WARM_UP_PART * total))
    for step in range(total):
        part = (step - warm_up) / max(1, total - warm_up)
        factor = (step + 1) / warm_up if step < warm_up else (1 + math.cos(math.pi * part)) / 2
        yield recipe.learning_rate * factor
