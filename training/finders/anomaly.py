"""Fit an anomaly map by a recipe into a run folder, from defect-free pictures. Needs torch and Lightning; runs alone.

A heat map learns to tell what was painted into a picture (`training.finders.anomaly_paint`) from all that defect-free
pictures hold of their own: stains, edges, uneven light. No marked defect has a part in it, nor in choosing the weights
that are kept.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from engines import FakeFrameEngine, FinderCard, Found
from shadowline.errors import StationError
from training.data import Split
from training.data.marked import Marked
from training.finders.anomaly_measure import heat_of, input_of, peaks_of
from training.finders.anomaly_paint import paint
from training.finders.anomaly_recipe import AnomalyRecipe
from training.finders.export import start_card
from training.finders.heat import heat_losses
from training.finders.heat_network import HeatNetwork, open_heat_network
from training.finders.heat_targets import target_heat
from training.finders.learning import learn
from training.finders.pictures import Sample
from training.finders.runs import Opened, open_run
from training.machine import Machine
from training.novelty import auroc

__all__ = ["ServedAnomaly", "fit_anomaly", "good_of", "start_anomaly_card"]

_log = logging.getLogger(__name__)


class ServedAnomaly(nn.Module):
    """An anomaly map's network as its finder file: raw heat [N,h,w], logits of being foreign."""

    def __init__(self, network: HeatNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        return self.network(frames)[:, 0].float()


class _Spotting:
    """Telling painted defects from what is the pictures' own, as a task to learn."""

    best = "painted"

    def __init__(self, network: HeatNetwork, recipe: AnomalyRecipe, card: FinderCard, held: Sequence[Marked]) -> None:
        """`held` are defect-free pictures; each is measured as it is and once with the same defects painted in."""
        self.network, self._recipe, self._card = network, recipe, card
        self._plain = [input_of(picture.image(), card) for picture in held]
        rng = np.random.default_rng(recipe.seed)
        self._painted = [self._paint(image, self._plain, rng)[0] for image in self._plain]

    def losses(self, samples: Sequence[Sample], device: torch.device) -> Mapping[str, Tensor]:
        rng = np.random.default_rng(int(torch.randint(1 << 31, ())))  # torch is seeded for each epoch
        images = [sample.image for sample in samples]
        drawn = [self._drawn(image, images, rng) for image in images]
        frames = torch.from_numpy(np.stack([sample.image for sample in drawn])[:, None])
        target = torch.from_numpy(np.stack([target_heat(sample, 1, self.network.stride) for sample in drawn]))
        return heat_losses(self.network(frames.to(device)), target.to(device))

    def measure(self, device: torch.device) -> Mapping[str, float]:
        """Return the chance that a picture with painted defects has a higher peak than one without."""
        with _as_engine(self.network, self._card, device) as engine:
            plain, painted = ([heat_of(engine, image) for image in part] for part in (self._plain, self._painted))
        return {self.best: auroc(peaks_of(plain), peaks_of(painted))}

    def _drawn(self, image: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> Sample:
        defect = np.zeros(image.shape, np.bool_)
        if rng.random() < self._recipe.marked_share:
            image, defect = self._paint(image, others, rng)
        return Sample(image, np.empty((0, 4), np.float32), np.empty(0, np.int64), defect)

    def _paint(
        self, image: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        other = others[int(rng.integers(len(others)))]
        return paint(image, other, rng, self._recipe.painted, self._recipe.painted_px)


def fit_anomaly(
    recipe: AnomalyRecipe,
    data: Path,
    folder: Path,
    machine: Machine | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Opened[AnomalyRecipe]:
    """Train an anomaly map on the defect-free pictures below `data` into the run folder `folder`.

    Marked pictures are hashed and set aside here, and never looked at. `resume` goes on with a run that was cut off, by
    the recipe and split in its folder. Raises `StationError` when the data can't be used or nothing can be written.
    """
    run = open_run(recipe, data, folder, resume)
    if run.is_finished:
        return run
    learnt, held = good_of(run, "train"), good_of(run, "val")
    network, report = open_heat_network(run.recipe, 1)
    if report is not None:
        _log.info("starting weights: %s", report.text())
    task = _Spotting(network, run.recipe, start_anomaly_card(run, network), held)
    learn(task, run.recipe, learnt, (), folder, machine or Machine(), console)
    return run


def good_of(run: Opened[AnomalyRecipe], side: Split) -> tuple[Marked, ...]:
    """Return the defect-free pictures of one side. Raises `StationError` when there are none."""
    pictures = run.pictures.learnt(run.recipe) if side == "train" else run.pictures.sides[side]
    good = tuple(picture for picture in pictures if picture.is_good)
    if not good:
        raise StationError(
            f"{run.paths.folder}: no defect-free picture on the side {side}: name their folders in [marks] good, or "
            "give more of them"
        )
    return good


def start_anomaly_card(run: Opened[AnomalyRecipe], network: HeatNetwork) -> FinderCard:
    """Return the card of a run's anomaly map, its range not chosen yet."""
    recipe = run.recipe
    overlap_px = recipe.input_px[0] // 4
    return start_card(
        "anomaly", recipe, run.pictures.manifest, stride=network.stride, overlap_px=overlap_px, threshold=0.5
    )


def _as_engine(network: HeatNetwork, card: FinderCard, device: torch.device) -> FakeFrameEngine:
    """Return a network under training as the station's engine."""
    served = ServedAnomaly(network)

    def answer(frames: NDArray[np.uint8]) -> Found:
        with torch.inference_mode():
            return {"heat": served(torch.from_numpy(frames).to(device)).cpu().numpy()}

    return FakeFrameEngine(card, answer)
