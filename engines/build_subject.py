"""What a build needs to know of the file that it converts and proves: one that names crops, or one that finds. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from engines.finder_card import FinderCard
from engines.frame_engine import FrameEngine, check_frames
from engines.frame_onnx import FrameOnnxEngine, is_finder
from engines.frame_parity import FrameParity, compare_frames, refuse_changes
from engines.frame_tensor_rt import FrameTensorRtEngine
from engines.model import ModelCard, Precision
from engines.onnx_runtime import OnnxRuntimeEngine
from engines.parity import Parity, compare, refuse_flips
from engines.plan import Plan
from engines.tensor_rt import TensorRtEngine
from shadowline.errors import EngineError

__all__ = ["Card", "Samples", "Subject", "open_subject", "refuse"]

Card: TypeAlias = ModelCard | FinderCard

Samples: TypeAlias = NDArray[np.uint8]
"""Crops or frames, uint8 [n,1,H,W], n ≥ 1."""


class Subject(Protocol):
    """The file that a plan is built of, entered on ONNX Runtime as the reference of all that is made of it."""

    card: Card

    def fit(self, samples: Samples, where: Path) -> Samples:
        """Return `samples`, read from `where`, as the network takes them. Raises `EngineError`."""

    def convert(self, target: Path, precision: Precision, samples: Samples | None) -> Card:
        """Write the file to `target` in `precision` and return its card."""

    def compare(self, plan: Plan, on_gpu: bool, samples: Samples) -> Parity | FrameParity:
        """Return how a plan of it differs, run by TensorRT or by ONNX Runtime."""


@contextmanager
def open_subject(model: Path, max_batch: int) -> Iterator[Subject]:
    """Enter the model or finder file `model` as what it is. Raises `EngineError`."""
    if is_finder(model):
        with FrameOnnxEngine(model) as finder:
            yield _FrameSubject(model, finder)
    else:
        with OnnxRuntimeEngine(model, max_batch=max_batch) as engine:
            yield _CropSubject(model, engine)


def refuse(parity: Parity | FrameParity, max_share: float) -> None:
    """Raise `EngineMismatch` when more changes than `max_share`: of the labels, or of what is found."""
    if isinstance(parity, Parity):
        refuse_flips(parity, max_share)
    else:
        refuse_changes(parity, max_share)


class _CropSubject:
    def __init__(self, model: Path, engine: Engine) -> None:
        self.card: Card = engine.card
        self._model, self._engine = model, engine

    def fit(self, samples: Samples, where: Path) -> Samples:
        """Return the crops, scaled where they were cut for another model."""
        side = self._engine.card.crop.size_px
        if samples.shape[2] != samples.shape[3]:
            raise EngineError(f"{where}: holds uint8 {samples.shape}, must be uint8 [n,1,S,S] with n ≥ 1")
        if samples.shape[2:] == (side, side):
            return samples
        scaled = [cv2.resize(crop[0], (side, side), interpolation=cv2.INTER_AREA) for crop in samples]
        return np.stack(scaled).astype(np.uint8, copy=False)[:, None]

    def convert(self, target: Path, precision: Precision, samples: Samples | None) -> ModelCard:
        from engines.precision import convert  # needs onnx: only when built

        return convert(self._model, target, precision, samples)

    def compare(self, plan: Plan, on_gpu: bool, samples: Samples) -> Parity:
        max_batch = plan.passport.key.profile.max_batch
        candidate: Engine = TensorRtEngine(plan) if on_gpu else OnnxRuntimeEngine(plan.model, max_batch=max_batch)
        with candidate:
            return compare(self._engine, candidate, samples)


class _FrameSubject:
    def __init__(self, model: Path, engine: FrameEngine) -> None:
        self.card: Card = engine.card
        self._model, self._engine = model, engine

    def fit(self, samples: Samples, where: Path) -> Samples:
        check_frames(samples, self._engine.card, str(where))
        return samples

    def convert(self, target: Path, precision: Precision, samples: Samples | None) -> FinderCard:
        from engines.precision import convert_finder  # needs onnx: only when built

        return convert_finder(self._model, target, precision, () if samples is None else list(samples[:, None]))

    def compare(self, plan: Plan, on_gpu: bool, samples: Samples) -> FrameParity:
        candidate: FrameEngine = FrameTensorRtEngine(plan) if on_gpu else FrameOnnxEngine(plan.model)
        with candidate:
            return compare_frames(self._engine, candidate, samples)
