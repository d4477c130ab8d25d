"""Training batches for PyTorch's loader, each drawn from its own number, so that a resumed run sees the same ones."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from engines import OnnxRuntimeEngine, read_card
from shadowline.errors import StationError
from training.data import Manifest
from training.recipe import Recipe
from training.samples import Sampler

__all__ = ["Batches", "Steps", "Teacher", "open_loader"]


class Teacher:
    """A model file that answers the crops of a student; opened in the process that first asks it."""

    def __init__(self, path: Path, recipe: Recipe, manifest: Manifest) -> None:
        """Raise `StationError` for other labels or crops, and where it may have learnt from the student's test side."""
        card = read_card(path)
        if card.labels != manifest.labels or card.crop != recipe.crop:
            raise StationError(
                f"teacher {path}: labels and crops must be the student's, not {', '.join(card.labels)}; {card.crop}"
            )
        if card.data_sha256 not in ("", manifest.sha256()):
            raise StationError(f"teacher {path}: it learnt from another split: train it on the student's")
        self._path = path
        self._engine: OnnxRuntimeEngine | None = None

    def answers(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities [n,C] of crops [n,1,S,S]."""
        if self._engine is None:
            self._engine = OnnxRuntimeEngine(self._path).__enter__()
        return self._engine.classify(crops).probabilities

    def __getstate__(self) -> dict[str, object]:
        return {"_path": self._path, "_engine": None}


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """Batch number → crops uint8 [n,1,S,S] and targets float32 [n,C], blended with the teacher's answers."""

    def __init__(self, sampler: Sampler, recipe: Recipe, teacher: Teacher | None) -> None:
        self._sampler, self._recipe, self._teacher = sampler, recipe, teacher

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        crops, targets = self._sampler.batch(self._recipe.batch, np.random.default_rng([self._recipe.seed, number]))
        if self._teacher is not None:
            share = np.float32(self._recipe.teacher_share)
            targets = share * self._teacher.answers(crops) + (1 - share) * targets
        return torch.from_numpy(crops), torch.from_numpy(targets)


class Steps(torch.utils.data.Sampler[int]):
    """The batch numbers of the epoch that `epoch` tells; process `rank` of `processes` takes every n-th."""

    def __init__(self, steps: int, epoch: Callable[[], int], rank: int = 0, processes: int = 1) -> None:
        self._steps, self._epoch, self._rank, self._processes = steps, epoch, rank, processes

    def __iter__(self) -> Iterator[int]:
        first = self._epoch() * self._steps
        return iter(range(first + self._rank, first + len(self) * self._processes, self._processes))

    def __len__(self) -> int:
        return self._steps // self._processes  # as many for each: they wait for each other


def open_loader(batches: Batches, steps: Steps, workers: int) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a loader of whole batches in order; `workers` processes draw them, or this one when 0."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # its own, so that making an iterator takes nothing from the network's
    )
