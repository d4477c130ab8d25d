"""Fit a detector by a recipe into a run folder, from pictures with boxes. Needs torch and Lightning; runs alone."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from shadowline.errors import StationError
from training.data.marked import Marked
from training.finders.detect_answers import best
from training.finders.detect_measure import Answers, answers_to, found_in, matches_of, mean_precision
from training.finders.detect_network import DetectNetwork, open_detect_network
from training.finders.detect_recipe import DetectRecipe
from training.finders.detect_targets import assign, detect_losses, marks_of
from training.finders.learning import learn
from training.finders.pictures import Sample
from training.finders.runs import Opened, Pictures, open_run
from training.machine import Machine
from training.networks.weights import load_weights

__all__ = ["fit_detector", "labels_of", "load_detector"]

_log = logging.getLogger(__name__)


class _Detecting:
    """The detector as a task to learn."""

    best = "map50"

    def __init__(
        self, network: DetectNetwork, recipe: DetectRecipe, labels: Sequence[str], held: Sequence[Marked]
    ) -> None:
        self.network, self._recipe, self._labels, self._held = network, recipe, labels, held

    def losses(self, samples: Sequence[Sample], device: torch.device) -> Mapping[str, Tensor]:
        frames = torch.from_numpy(np.stack([sample.image for sample in samples])[:, None]).to(device)
        dense = self.network(frames)
        parts = detect_losses(dense, assign(dense, *marks_of(samples, device)))
        return {"labels": parts["labels"], "boxes": self._recipe.box_loss * parts["boxes"]}

    def measure(self, device: torch.device) -> Mapping[str, float]:
        def detect(frames: NDArray[np.uint8]) -> Answers:
            with torch.inference_mode():
                dense = self.network(torch.from_numpy(frames).to(device))
                found = best(dense, self._recipe.candidates, self._recipe.input_px)
            boxes, scores, labels = (part.cpu().numpy() for part in found)
            return boxes, scores, labels

        found = found_in(answers_to(detect, self._held, self._recipe), self._held, self._labels, self._recipe)
        map50, each = mean_precision(matches_of(self._held, found, self._labels))
        return {"map50": map50, **{f"ap50_{label}": value for label, value in each.items()}}


def fit_detector(
    recipe: DetectRecipe,
    data: Path,
    folder: Path,
    machine: Machine | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Opened[DetectRecipe]:
    """Train a detector on the marked pictures below `data` into the run folder `folder`.

    Test pictures are hashed and set aside here, and never looked at. `resume` goes on with a run that was cut off, by
    the recipe and split in its folder. Raises `StationError` when the data can't be used or nothing can be written.
    """
    run = open_run(recipe, data, folder, resume, lambda pictures: _check(pictures, recipe))
    if run.is_finished:
        return run
    labels = labels_of(run)
    network, report = open_detect_network(run.recipe, len(labels), start=run.recipe.start is None)
    if report is not None:
        _log.info("starting weights: %s", report.text())
    if run.recipe.start is not None:
        _log.info("%s: %s", run.recipe.start, load_weights(network, run.recipe.start).text())
    task = _Detecting(network, run.recipe, labels, run.pictures.sides["val"])
    learn(task, run.recipe, run.pictures.learnt(run.recipe), labels, folder, machine or Machine(), console)
    return run


def labels_of(run: Opened[DetectRecipe]) -> tuple[str, ...]:
    """Return the labels that the detector tells, in their order."""
    return run.pictures.manifest.labels


def load_detector(run: Opened[DetectRecipe]) -> DetectNetwork:
    """Return the network of a finished run. Raises `StationError` when it is not finished or damaged."""
    file = run.paths.network
    if not run.is_finished:
        raise StationError(f"{run.paths.folder}: this run is not finished: go on with --resume")
    network, _ = open_detect_network(run.recipe, len(labels_of(run)), start=False)
    network.eval()
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError) as fault:
        raise StationError(f"{file}: damaged, or not of this recipe: {str(fault).splitlines()[0]}") from fault
    return network


def _check(pictures: Pictures, recipe: DetectRecipe) -> None:
    """Refuse pictures that a detector can't be made of."""
    every = [picture for side in pictures.sides.values() for picture in side]
    if all(picture.is_good for picture in every):
        raise StationError("no box is marked in any picture: a detector learns from boxes")
    if not pictures.sides["val"]:
        raise StationError("no picture is on the validation side: mark more, or split otherwise with fractions")
    height, width = recipe.input_px
    for picture in every:
        wide, high = (size / step for size, step in zip(picture.size_px, recipe.scale, strict=True))
        if wide > width + 1 or high > height + 1:
            raise StationError(
                f"{picture.path}: {picture.size_px[0]}x{picture.size_px[1]} px do not fit into input_px "
                f"[{height}, {width}] at scale {list(recipe.scale)}: raise input_px, or scale to "
                f"[{picture.size_px[0] / width:.3g}, {picture.size_px[1] / height:.3g}]"
            )
