"""Ensembles of finished runs: which members help, by their validation answers, and one run of them. Needs torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from shadowline.errors import StationError
from training.confidence import fit_temperature
from training.data import Tree
from training.networks import logits_of, probabilities_of
from training.runs import Run, save_ensemble
from training.samples import exact_crops, like_serving, sources_of

__all__ = ["Chosen", "choose_members", "join"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Members by number in the order they were taken, and the validation loss with each of them added."""

    members: tuple[int, ...]
    losses: tuple[float, ...]


def choose_members(probabilities: Sequence[NDArray[np.float32]], targets: NDArray[np.float32], most: int) -> Chosen:
    """Choose up to `most` of the members' answers [n,C] each, the one that helps most at a time (Caruana et al. 2004).

    Starts with the best one and stops when no other lowers the loss of the mean. Each member is taken once.
    """
    members: list[int] = []
    losses: list[float] = []
    total = np.zeros_like(targets)
    while len(members) < min(most, len(probabilities)):
        free = [number for number in range(len(probabilities)) if number not in members]
        trials = [_loss((total + probabilities[number]) / (len(members) + 1), targets) for number in free]
        best = int(np.argmin(trials))
        if losses and trials[best] >= losses[-1]:
            break
        members.append(free[best])
        losses.append(trials[best])
        total = total + probabilities[free[best]]
    return Chosen(tuple(members), tuple(losses))


def join(runs: Sequence[Run], tree: Tree, data: Path, folder: Path, name: str, choose: int | None) -> Chosen:
    """Write the run folder `folder` whose network is the mean of `runs`, of the best `choose` of them if given.

    Each member's temperature is fitted on the validation side. Raises `StationError` when the runs differ in labels,
    head, crops or split, so that one would have learnt from what another is measured on.
    """
    _check_alike(runs)
    first = runs[0]
    val = sources_of(first.recipe, tree, first.manifest, data, "val")
    parts = [val[name] for name in like_serving(val)]
    crops = torch.from_numpy(np.concatenate([exact_crops(part, first.recipe.crop) for part in parts]))
    targets = np.concatenate([part.targets for part in parts])
    logits = [logits_of(run.network, crops) for run in runs]
    temperatures = [fit_temperature(part.numpy(), targets, first.recipe.head) for part in logits]
    answers = [
        probabilities_of(part / temperature, first.recipe.head).numpy()
        for part, temperature in zip(logits, temperatures, strict=True)
    ]
    everyone = Chosen(tuple(range(len(runs))), (_loss(np.mean(answers, axis=0), targets),))
    chosen = everyone if choose is None else choose_members(answers, targets, choose)
    recipe = first.recipe.model_copy(update={"name": name})
    save_ensemble(folder, recipe, [runs[i] for i in chosen.members], [temperatures[i] for i in chosen.members])
    return chosen


def _check_alike(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for what, one, other in (
            ("labels", first.manifest.labels, run.manifest.labels),
            ("head", first.recipe.head, run.recipe.head),
            ("crop", first.recipe.crop, run.recipe.crop),
            ("split", first.manifest.sha256(), run.manifest.sha256()),
        ):
            if one != other:
                raise StationError(
                    f"{run.paths.folder}: its {what} is not that of {first.paths.folder}: train the members by recipes "
                    "that differ in the network only (same pictures, seed of the split, crop and head)"
                )


def _loss(probabilities: NDArray[Any], targets: NDArray[np.float32]) -> float:
    """Return the binary cross-entropy over all labels, which holds for every head."""
    mean = torch.from_numpy(np.asarray(probabilities, np.float32)).clamp(1e-7, 1 - 1e-7)
    return float(functional.binary_cross_entropy(mean, torch.from_numpy(targets)))
