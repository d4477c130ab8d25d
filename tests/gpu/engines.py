"""The engines under measurement: the only module of the suite that knows how Shadowline builds and opens them. Pure."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, assert_never, get_args

import numpy as np

from engines import Engine, ModelCard, OnnxRuntimeEngine, read_card
from engines.build import BuildRequest
from engines.build_process import BuildProcess
from engines.plan import Plan, Profile
from engines.tensor_rt import TensorRtEngine
from shadowline.errors import EngineError, MissingExtra
from tests.gpu.samples import cut_sample_crops

__all__ = [
    "BACKENDS",
    "MAX_BATCH",
    "Backend",
    "Refusal",
    "Subject",
    "damaged_copies",
    "load_pycuda",
    "open_reference",
    "prepare",
]

Backend: TypeAlias = Literal["tensor_rt", "cuda", "cpu"]
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]

BACKENDS: Final[tuple[Backend, ...]] = get_args(Backend)
MAX_BATCH: Final = 32
_PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
_PROFILE = Profile(min_batch=1, opt_batch=8, max_batch=MAX_BATCH)
_CALIBRATION_CROPS: Final = 256


@dataclass(frozen=True, slots=True)
class Subject:
    """One engine to measure: `file` is what its back end opens, a model file or the folder of a plan."""

    backend: Backend
    precision: str
    model: Path
    """The model file that it came from, the reference of its answers."""
    file: Path

    @property
    def name(self) -> str:
        return f"{self.backend} {self.precision} {self.model.stem}"

    def open(self) -> Engine:
        """Return the engine, not yet entered. Raises `EngineMismatch` for a plan that can't be read."""
        match self.backend:
            case "tensor_rt":
                return TensorRtEngine(Plan.read(self.file))
            case "cuda" | "cpu" as provider:
                return OnnxRuntimeEngine(self.file, provider, max_batch=MAX_BATCH)
            case _:
                assert_never(self.backend)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An engine that can't be had here, and why."""

    name: str
    reason: str


def open_reference(model: Path) -> Engine:
    """Return ONNX Runtime on one core over the model file as it is, not yet entered."""
    return OnnxRuntimeEngine(model, max_batch=MAX_BATCH)


def prepare(
    models: list[Path], backends: list[Backend], cache: Path, progress: Callable[[str], None]
) -> list[Subject | Refusal]:
    """Return every engine of `models` on `backends`; TensorRT's are built into `cache`, once a precision."""
    found: list[Subject | Refusal] = []
    for model in models:
        card = read_card(model)
        for backend in backends:
            if backend == "tensor_rt":
                found += [_build(model, card, precision, cache, progress) for precision in _precisions(card)]
            else:
                found.append(_try_out(Subject(backend, card.precision, model, model)))
    return found


def load_pycuda() -> Any:
    """Return pycuda's driver module, ready. Raises `MissingExtra` without it, `EngineError` without driver or GPU."""
    try:
        import pycuda.driver as cuda
    except ModuleNotFoundError as fault:
        raise MissingExtra("pycuda", "gpu") from fault
    except ImportError as fault:
        raise EngineError(f"pycuda does not load: {fault}: is the NVIDIA driver there?") from fault
    try:
        cuda.init()
    except cuda.Error as fault:
        raise EngineError(f"CUDA does not start: {fault}: is there an NVIDIA GPU?") from fault
    return cuda


def damaged_copies(subject: Subject, folder: Path) -> dict[str, Subject]:
    """Lay damaged copies of what `subject` opens into `folder`; return each under what was done to it.

    The last one of a plan has a passport that agrees with the damage: TensorRT itself is asked to load it.
    """
    whole = (Plan.read(subject.file).engine if subject.backend == "tensor_rt" else subject.file).read_bytes()
    damages = {"empty": b"", "cut in half": whole[: len(whole) // 2], "no model at all": bytes(range(256)) * 64}
    if subject.backend != "tensor_rt":
        return {
            words: _write_model(subject, folder / f"{number}.onnx", content)
            for number, (words, content) in enumerate(damages.items())
        }
    damages["one bit turned"] = bytes([whole[0] ^ 1]) + whole[1:]
    copies = {
        words: _write_plan(subject, folder / str(number), content, signed=False)
        for number, (words, content) in enumerate(damages.items())
    }
    copies["cut in half, passport agrees"] = _write_plan(subject, folder / "s", damages["cut in half"], signed=True)
    return copies


def _precisions(card: ModelCard) -> tuple[Precision, ...]:
    """Return what can be built from a file: from fp32 everything, otherwise what it is."""
    return _PRECISIONS if card.precision == "fp32" else (card.precision,)


def _build(
    model: Path, card: ModelCard, precision: Precision, cache: Path, progress: Callable[[str], None]
) -> Subject | Refusal:
    name = f"tensor_rt {precision} {model.stem}"
    with tempfile.TemporaryDirectory() as folder:
        crops = Path(folder, "crops.npy")
        np.save(crops, cut_sample_crops(card.crop, _CALIBRATION_CROPS))
        request = BuildRequest(
            model=model,
            cache=cache,
            target="tensor_rt",
            precision=precision,
            profile=_PROFILE,
            crops=crops,
            max_flip_share=1.0,  # the suite reports flips itself
        )
        try:
            plan = BuildProcess(request).run(lambda step, part: progress(f"{name}: {step}") if part == 0 else None)
        except (EngineError, MissingExtra) as fault:
            return Refusal(name, str(fault))
    return Subject("tensor_rt", precision, model, plan.folder)


def _try_out(subject: Subject) -> Subject | Refusal:
    try:
        with subject.open():
            return subject
    except EngineError as fault:
        return Refusal(subject.name, str(fault))


def _write_model(subject: Subject, path: Path, content: bytes) -> Subject:
    path.write_bytes(content)
    return Subject(subject.backend, subject.precision, subject.model, path)


def _write_plan(subject: Subject, folder: Path, content: bytes, signed: bool) -> Subject:
    shutil.copytree(subject.file, folder)
    plan = Plan.read(folder)
    plan.engine.write_bytes(content)
    if signed:
        facts = {"engine_sha256": hashlib.sha256(content).hexdigest(), "engine_bytes": len(content)}
        Plan.write(folder, plan.passport.model_copy(update=facts))
    return Subject(subject.backend, subject.precision, subject.model, folder)
