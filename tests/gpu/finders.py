"""Do finder files find on an engine what they find on ONNX Runtime and the CPU, and how long do they take? Pure."""

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines import FrameEngine, FrameOnnxEngine, read_finder_card
from engines.build import BuildRequest
from engines.build_process import BuildProcess
from engines.finder_card import FinderKind
from engines.frame_parity import compare_frames
from engines.frame_tensor_rt import FrameTensorRtEngine
from engines.plan import Profile
from shadowline.errors import MissingExtra
from station.sample_frames import draw_frames
from tests.gpu.engines import Subject
from tests.gpu.section import Effort, Row, percentiles_ms

__all__ = ["measure_finders"]

_KINDS: Final[tuple[FinderKind, ...]] = ("heatmap", "anomaly", "detector")
_INPUT_PX: Final = (256, 512)
_FRAMES: Final = 32
_TILES: Final = 4
_SCALE: Final = 4.0
_MOST_ERROR: Final = {"fp32": 1e-3, "fp16": 1e-2, "int8": 0.1}
"""Largest difference of a score, or of heat as a part of what the card shows."""


def measure_finders(subject: Subject, effort: Effort) -> list[Row]:
    """Return a row a kind of finder file, small ones that are written here, in the precision of `subject`.

    Target: heat and scores of drawn frames of 512×256 are those of the CPU within 1e-3 (fp32), 1e-2 (fp16) or 0.1
    (int8), and four frames at once are answered like one by one. Which of equal cells a detector lists may differ.
    """
    with tempfile.TemporaryDirectory() as name:
        return [_measure(subject, effort, kind, Path(name)) for kind in _KINDS]


def _measure(subject: Subject, effort: Effort, kind: FinderKind, folder: Path) -> Row:
    source = _write(kind, folder / f"{kind}.onnx")
    card = read_finder_card(source).model_copy(update={"input_px": _INPUT_PX})
    frames = draw_frames(card, _FRAMES)
    np.save(folder / "frames.npy", frames)
    with FrameOnnxEngine(source) as reference, _open(subject, source, folder) as engine:
        parity = compare_frames(reference, engine, frames)
        error, apart = _error(reference, engine, frames), _batch_error(engine, frames[:_TILES])
        return {
            "kind": kind,
            "frames": parity.frames,
            "max_error": round(error, 7),
            "found": parity.found,
            "changed": parity.changed,
            "batch_error": round(apart, 7),
            **percentiles_ms(_times_ns(engine, frames, effort)),
            "met": error <= _MOST_ERROR[subject.precision] and apart <= 1e-2,
        }


def _error(reference: FrameEngine, engine: FrameEngine, frames: NDArray[np.uint8]) -> float:
    shown = reference.card.high - reference.card.low
    return max(float(np.abs(_told(reference, one) - _told(engine, one)).max()) for one in frames[:, None]) / shown


def _batch_error(engine: FrameEngine, frames: NDArray[np.uint8]) -> float:
    """Return the largest difference between frames that are run together and one by one."""
    alone = np.concatenate([_told(engine, one) for one in frames[:, None]])
    return float(np.abs(_told(engine, frames) - alone).max())


def _told(engine: FrameEngine, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the heat, or the scores as they fall."""
    return np.array(engine.run(frames)["scores" if engine.card.kind == "detector" else "heat"])


def _write(kind: FinderKind, path: Path) -> Path:
    try:
        from tests.finder_files import write_finder
    except ModuleNotFoundError as fault:
        raise MissingExtra("onnx", "build") from fault
    return write_finder(path, kind, facts={"scale": (_SCALE, _SCALE), "threshold": 0.5})


def _open(subject: Subject, source: Path, folder: Path) -> FrameEngine:
    """Return the engine of a plan of `source`, as `subject` has one of its model file, not yet entered."""
    on_plan = subject.backend == "tensor_rt"
    request = BuildRequest.model_validate(
        {
            "model": source,
            "cache": folder / "plans",
            "target": "tensor_rt" if on_plan else "onnx_runtime",
            "precision": subject.precision,
            "profile": Profile(opt_batch=1, max_batch=_TILES),
            "input_px": _INPUT_PX if on_plan else None,
            "crops": folder / "frames.npy",
            "max_flip_share": 1.0,
        }
    )
    plan = BuildProcess(request).run(lambda step, part: None)
    if subject.backend == "tensor_rt":
        return FrameTensorRtEngine(plan)
    return FrameOnnxEngine(plan.model, subject.backend)


def _times_ns(engine: FrameEngine, frames: NDArray[np.uint8], effort: Effort) -> NDArray[np.int64]:
    """Return how long single frames took, after a tenth as many to warm up."""
    spent_ns = np.empty(effort.frames, np.int64)
    for index in range(-(effort.frames // 10), effort.frames):
        frame = frames[index % len(frames)][None]
        start_ns = time.perf_counter_ns()
        engine.run(frame)
        spent_ns[max(index, 0)] = time.perf_counter_ns() - start_ns
    return spent_ns
