"""Fit a heat map by a recipe into a run folder, from pictures with boxes or masks. Needs torch and Lightning."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from engines import FakeFrameEngine, FinderCard, Found
from shadowline.errors import StationError
from training.data.marked import Marked
from training.finders.export import start_card
from training.finders.heat_measure import sweep
from training.finders.heat_network import HeatNetwork, ServedHeat, open_heat_network
from training.finders.heat_recipe import HeatRecipe
from training.finders.heat_targets import target_heat
from training.finders.learning import learn
from training.finders.pictures import Sample
from training.finders.runs import Opened, open_run
from training.machine import Machine

__all__ = ["as_engine", "fit_heat", "heat_losses", "load_heat", "start_heat_card"]

_FOCUS: Final = 1.5
"""Exponent of how far off a cell is: the many that are easily right count little."""
_WIDENED: Final = 1
"""Cells that a masked defect is widened by: what lies around it in fragments is then of one region with it."""
_NEAR: Final = 9
"""Side of the square of cells in which a small defect is alone."""
_MOST_WEIGHT: Final = 8.0
_log = logging.getLogger(__name__)


class _Heating:
    """The heat map as a task to learn."""

    best = "score"

    def __init__(self, network: HeatNetwork, recipe: HeatRecipe, card: FinderCard, held: Sequence[Marked]) -> None:
        self.network, self._recipe, self._card, self._held = network, recipe, card, held

    def losses(self, samples: Sequence[Sample], device: torch.device) -> Mapping[str, Tensor]:
        frames = torch.from_numpy(np.stack([sample.image for sample in samples])[:, None])
        maps, stride = self.network.maps, self.network.stride
        target = torch.from_numpy(np.stack([target_heat(sample, maps, stride, _WIDENED) for sample in samples]))
        return heat_losses(self.network(frames.to(device)), target.to(device))

    def measure(self, device: torch.device) -> Mapping[str, float]:
        with as_engine(self.network, self._card, device) as engine:
            found = sweep(engine, self._held)
        cost = found.cost(self._recipe)
        # what is missed and what is found falsely, each as a part of what may be: no single threshold decides
        score = (found.recall - 0.1 * cost).max()
        recall = found.recall[cost <= 1].max(initial=0.0)
        return {"score": float(score), "recall": float(recall)}


def fit_heat(
    recipe: HeatRecipe,
    data: Path,
    folder: Path,
    machine: Machine | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Opened[HeatRecipe]:
    """Train a heat map on the marked pictures below `data` into the run folder `folder`.

    Test pictures are hashed and set aside here, and never looked at. `resume` goes on with a run that was cut off, by
    the recipe and split in its folder. Raises `StationError` when the data can't be used or nothing can be written.
    """
    run = open_run(recipe, data, folder, resume)
    if run.is_finished:
        return run
    _refuse_unmarked(run)
    network, report = open_heat_network(run.recipe, _maps(run))
    if report is not None:
        _log.info("starting weights: %s", report.text())
    learnt = run.pictures.learnt(run.recipe)
    shown, settled = _evened(learnt, run.recipe)
    task = _Heating(network, run.recipe, start_heat_card(run, network), run.pictures.sides["val"])
    masked = not run.recipe.from_boxes and any(picture.mask is not None for picture in learnt)
    learn(task, settled, shown, run.pictures.manifest.labels, folder, machine or Machine(), console, masked)
    return run


def heat_losses(logits: Tensor, target: Tensor) -> Mapping[str, Tensor]:
    """Return the parts of the loss of logits [N,C,h,w] for the heat that should be there.

    The cross-entropy of cells that are far off counts most (Lin et al. 2017, for soft targets), a cell of a small
    defect more than one of a large, and each picture like the others. Dice holds the extents of what is hot.
    """
    logits = logits.float()
    heat = logits.sigmoid()
    crowd = functional.avg_pool2d(target, _NEAR, 1, _NEAR // 2) * _NEAR**2
    weight = 1 + target * (_NEAR**2 / crowd.clamp(min=1) - 1).clamp(max=_MOST_WEIGHT)
    cells = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    cells = weight * (heat - target).abs() ** _FOCUS * cells
    cells = cells.sum((2, 3)) / ((weight * target).sum((2, 3)) + _NEAR)
    shared, whole = (heat * target).sum((2, 3)), (heat + target).sum((2, 3))
    overlap = 1 - (2 * shared + 1) / (whole + 1)
    marked = (target.amax((2, 3)) > 0).float()
    return {"cells": 4 * cells.mean(), "overlap": (overlap * marked).sum() / marked.sum().clamp(min=1)}


def start_heat_card(run: Opened[HeatRecipe], network: HeatNetwork) -> FinderCard:
    """Return the card of a run's heat map, its threshold not chosen yet."""
    recipe, labels = run.recipe, run.pictures.manifest.labels
    return start_card(
        "heatmap",
        recipe,
        run.pictures.manifest,
        labels=labels if network.maps > 1 else (),
        stride=network.stride,
        overlap_px=recipe.input_px[0] // 4,
        threshold=0.5,
    )


def as_engine(network: HeatNetwork, card: FinderCard, device: torch.device) -> FakeFrameEngine:
    """Return a network under training as the station's engine."""
    served = ServedHeat(network)

    def answer(frames: NDArray[np.uint8]) -> Found:
        with torch.inference_mode():
            return {"heat": served(torch.from_numpy(frames).to(device)).float().cpu().numpy()}

    return FakeFrameEngine(card, answer)


def load_heat(run: Opened[HeatRecipe]) -> HeatNetwork:
    """Return the network of a finished run. Raises `StationError` when it is not finished or damaged."""
    if not run.is_finished:
        raise StationError(f"{run.paths.folder}: this run is not finished: go on with --resume")
    network = open_heat_network(run.recipe, _maps(run), start=False)[0]
    try:
        network.load_state_dict(torch.load(run.paths.network, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError) as fault:
        what = str(fault).splitlines()[0]
        raise StationError(f"{run.paths.network}: damaged, or not of this recipe: {what}") from fault
    network.eval()
    return network


def _maps(run: Opened[HeatRecipe]) -> int:
    return len(run.pictures.manifest.labels) if run.recipe.maps == "label" else 1


def _refuse_unmarked(run: Opened[HeatRecipe]) -> None:
    for side in ("train", "val"):
        if all(picture.is_good for picture in run.pictures.sides[side]):
            raise StationError(
                f"{run.paths.folder}: nothing is marked in any picture of the side {side}: mark more pictures, or "
                "share them out otherwise (fractions, split_seed)"
            )


def _evened(pictures: Sequence[Marked], recipe: HeatRecipe) -> tuple[list[Marked], HeatRecipe]:
    """Return pictures as often as they shall be drawn, labels alike, and the recipe with the length of an epoch."""
    by_label: dict[str, list[Marked]] = {}
    for picture in pictures:
        if not picture.is_good:
            by_label.setdefault(picture.label or picture.labels[0], []).append(picture)
    good = [picture for picture in pictures if picture.is_good]
    marked = [one for found in by_label.values() for one in _repeated(found, max(map(len, by_label.values())))]
    if good:
        share = recipe.marked_share
        good = _repeated(good, round(len(marked) * (1 - share) / share))
    length = recipe.epoch_pictures or len(pictures)
    return marked + good, recipe.model_copy(update={"epoch_pictures": length})


def _repeated(pictures: Sequence[Marked], count: int) -> list[Marked]:
    return [pictures[number % len(pictures)] for number in range(count)]
