"""`station engine compare`: a plan, a precision or another file against a model or finder file. Main thread."""

import tempfile
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines import Engine, FrameEngine, FrameOnnxEngine, OnnxRuntimeEngine, read_card, read_finder_card
from engines.build import BuildRequest
from engines.frame_parity import FrameParity, compare_frames
from engines.frame_tensor_rt import FrameTensorRtEngine
from engines.parity import Parity, compare
from engines.plan import Plan
from engines.plan_cache import default_cache
from engines.tensor_rt import TensorRtEngine
from station.command.engine_plan import find_plan, run_build
from station.sample_crops import Crops, draw_crops, read_crops
from station.sample_frames import draw_frames, read_frames

__all__ = ["compare_crops", "compare_finders", "take_crops", "take_frames"]

Candidate: TypeAlias = Plan | Path
"""A plan, or the path of another model file."""

_PRECISIONS: Final = ("fp32", "fp16", "int8")
_DRAWN_CROPS, _DRAWN_FRAMES = 512, 64


def take_crops(model: Path, pictures: Path | None) -> Crops:
    """Return the pictures as crops for the model file, or drawn ones."""
    card = read_card(model)
    return read_crops(pictures, card.crop, card.labels) if pictures else draw_crops(card.crop, _DRAWN_CROPS)


def take_frames(model: Path, pictures: Path | None, input_px: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return the pictures as frames for the finder file, of `input_px` where it takes any size, or drawn ones."""
    card = read_finder_card(model)
    if card.input_px is None and input_px is not None:
        card = card.model_copy(update={"input_px": input_px})
    return read_frames(pictures, card) if pictures else draw_frames(card, _DRAWN_FRAMES)


def compare_crops(model: Path, word: str, pictures: Path | None, cache: Path | None) -> tuple[Parity, Crops]:
    """Return how the candidate `word` differs from the model file, and the crops that it was judged by."""
    taken = take_crops(model, pictures)
    candidate = _named(word, cache) or _convert(word, model, taken.crops, cache)
    judged = taken.odd_rows() if word == "int8" else taken  # its ranges were measured on the even ones
    with OnnxRuntimeEngine(model) as reference, _engine_of(candidate) as other:
        return compare(reference, other, judged.crops, judged.truth), judged


def compare_finders(model: Path, word: str, pictures: Path | None, cache: Path | None) -> FrameParity:
    """Return how the candidate `word` differs from the finder file."""
    named = _named(word, cache)
    frames = take_frames(model, pictures, named.passport.key.input_px if isinstance(named, Plan) else None)
    candidate = named or _convert(word, model, frames, cache)
    judged = frames[1::2] if word == "int8" and len(frames) > 1 else frames
    with FrameOnnxEngine(model) as reference, _frame_engine_of(candidate) as other:
        return compare_frames(reference, other, judged)


def _named(word: str, cache: Path | None) -> Candidate | None:
    """Return the file or plan that `word` names; None for a precision."""
    if word in _PRECISIONS:
        return None
    return Path(word) if Path(word).is_file() else find_plan(word, cache)


def _convert(precision: str, model: Path, samples: NDArray[np.uint8], cache: Path | None) -> Plan:
    """Return `model` in another precision, its ranges measured on the even rows of `samples`."""
    with tempfile.TemporaryDirectory() as folder:
        npy = Path(folder) / "crops.npy"
        np.save(npy, samples)
        facts = {"model": model, "cache": cache or default_cache(), "precision": precision, "crops": npy}
        return run_build(BuildRequest.model_validate(facts | {"max_flip_share": 1}))


def _engine_of(candidate: Candidate) -> Engine:
    if isinstance(candidate, Path):
        return OnnxRuntimeEngine(candidate)
    if candidate.passport.key.runtime == "onnx_runtime":
        return OnnxRuntimeEngine(candidate.model)
    return TensorRtEngine(candidate)


def _frame_engine_of(candidate: Candidate) -> FrameEngine:
    if isinstance(candidate, Path):
        return FrameOnnxEngine(candidate)
    if candidate.passport.key.runtime == "onnx_runtime":
        return FrameOnnxEngine(candidate.model)
    return FrameTensorRtEngine(candidate)
