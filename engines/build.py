"""Turn a model or finder file into a plan: converted, compiled, proved against what it came from, put into the cache.

It compiles, and it opens files that nobody has looked at: `engines.build_process` does it in a process of its own.
"""

import datetime
import getpass
import hashlib
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import shadowline
from engines.border import border_of
from engines.build_subject import Card, Samples, Subject, open_subject, refuse
from engines.flavour import find_flavour
from engines.gpu import find_gpu
from engines.model import ModelCard, Precision
from engines.onnx_file import onnx_runtime_version
from engines.plan import ANY, Passport, Plan, PlanKey, Profile, file_sha256
from engines.plan_cache import PlanCache
from shadowline.errors import EngineError

__all__ = ["BuildRequest", "Progress", "build", "plan_key"]

Progress: TypeAlias = Callable[[str, float], None]
"""Gets what is being done and the part of it that is done, 0 to 1."""


class BuildRequest(BaseModel):
    """What to build from what, for which machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    cache: Path
    target: Literal["onnx_runtime", "tensor_rt"] = "onnx_runtime"
    precision: Precision | None = None
    """None keeps the file's own."""
    profile: Profile = Profile()
    gpu: int = 0
    capability: str | None = None
    """Build for another machine's GPU of this compute capability, with TensorRT-RTX."""
    workspace_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 1024
    input_px: tuple[int, int] | None = None
    """Height and width of the frames that a finder's plan takes, where its file takes any."""
    crops: Path | None = None
    """Crops uint8 [n,1,s,s], or a finder's frames [n,1,H,W], as .npy, scaled as the network wants them: ranges come
    from every other one, parity from the rest."""
    max_flip_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Part of the labels that may change, or of what a finder finds."""
    limit_s: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """A build process that takes longer is ended."""


def plan_key(request: BuildRequest, card: Card, samples: Samples | None = None) -> PlanKey:
    """Return the key of the plan that `request` asks for on this machine; without samples, of any calibration."""
    precision = request.precision or card.precision
    calibration = ""
    if precision == "int8" and card.precision != "int8":
        calibration = ANY if samples is None else hashlib.sha256(samples[::2].tobytes()).hexdigest()
    facts: dict[str, Any] = {
        "model_sha256": file_sha256(request.model),
        "precision": precision,
        "calibration_sha256": calibration,
        "profile": request.profile,
    }
    if request.target == "onnx_runtime":
        return PlanKey(runtime="onnx_runtime", version=onnx_runtime_version(), **facts)
    facts["input_px"] = _input_px(request, card)
    flavour, version = find_flavour()
    if request.capability is not None:
        if flavour == "tensorrt":
            raise EngineError("TensorRT builds for the GPU at hand only: --capability needs TensorRT-RTX")
        return PlanKey(runtime=flavour, version=version, driver=ANY, gpu=ANY, capability=request.capability, **facts)
    gpu = find_gpu(request.gpu)
    return PlanKey(
        runtime=flavour, version=version, driver=gpu.driver, gpu=gpu.name, capability=gpu.capability, **facts
    )


def _input_px(request: BuildRequest, card: Card) -> tuple[int, int] | None:
    """Return the size of frames that a plan is for; None for crops, and where a finder's is not known yet."""
    asked = request.input_px
    if isinstance(card, ModelCard):
        if asked is not None:
            raise EngineError(f"{request.model}: it names crops: a size of frames is for finder files")
        return None
    if asked is None or asked == card.input_px:
        return card.input_px
    if card.input_px is not None:
        raise EngineError(f"{request.model}: takes frames of {card.input_px} alone, not of {asked}")
    if any(side < 1 or side % card.stride for side in asked):
        raise EngineError(f"{request.model}: frames of {asked}: must be multiples of {card.stride}")
    return asked


def build(request: BuildRequest, progress: Progress) -> Plan:
    """Return the plan of `request`, from the cache or freshly built. Raises `EngineError` and its kin."""
    progress("reading the model", 0.0)
    cache = PlanCache(request.cache)
    with open_subject(request.model, request.profile.max_batch) as subject:
        samples = None if request.crops is None else subject.fit(_load(request.crops), request.crops)
        key = plan_key(request, subject.card, samples)
        with cache.adding(key, lambda: progress("waiting for another build", 0.0)) as folder:
            found = cache.get(key)
            if found is None:
                _fill(folder, request, key, subject, samples, progress)
            elif found.passport.parity is not None:
                refuse(found.passport.parity, request.max_flip_share)
    return found or Plan.read(cache.folder / key.digest)


def _fill(
    folder: Path, request: BuildRequest, key: PlanKey, subject: Subject, samples: Samples | None, progress: Progress
) -> None:
    """Make model file, plan and passport in `folder`."""
    start_s = time.monotonic()
    converted = key.precision != subject.card.precision
    progress(f"converting to {key.precision}" if converted else f"taking it as it is, {key.precision}", 0.0)
    model = folder / "model.onnx"
    card = subject.convert(model, key.precision, _calibration(request, samples) if key.calibration_sha256 else None)
    engine = model
    if key.runtime != "onnx_runtime":
        card = card if key.input_px is None else card.model_copy(update={"input_px": key.input_px})
        engine = folder / "engine.plan"
        engine.write_bytes(_compile(model, card, key, request, progress))
    content = engine.read_bytes()
    passport = Passport(
        key=key,
        card=card,
        engine_sha256=hashlib.sha256(content).hexdigest(),
        engine_bytes=len(content),
        source=str(request.model),
        shadowline=shadowline.__version__,
        built=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        built_by=f"{_user()}@{platform.node()}",
        build_s=round(time.monotonic() - start_s, 2),
        workspace_mib=request.workspace_mib,
    )
    plan = Plan.write(folder, passport)
    on_gpu = key.runtime != "onnx_runtime" and key.driver != ANY
    if samples is not None and (converted or on_gpu):
        progress("proving", 0.0)
        unseen = samples[1::2] if converted and len(samples) > 1 else samples  # no range was measured on these
        parity = subject.compare(plan, on_gpu, unseen)
        refuse(parity, request.max_flip_share)
        Plan.write(folder, passport.model_copy(update={"parity": parity}))


def _compile(model: Path, card: Card, key: PlanKey, request: BuildRequest, progress: Progress) -> bytes:
    from engines.compile import compile_plan  # needs TensorRT: only when built

    machine = f"{key.runtime}-{key.version}-{key.gpu}".replace(" ", "_").replace("/", "_")
    return compile_plan(
        model,
        card.name,
        border_of(card),
        key,
        request.workspace_mib,
        request.cache / f".timing-{machine}",
        lambda part, phase: progress(f"compiling: {phase.lower()}", part),
    )


def _calibration(request: BuildRequest, samples: Samples | None) -> Samples:
    if samples is None:
        raise EngineError(f"{request.model}: int8 needs crops to measure its ranges on: --crops FOLDER")
    return samples[::2]


def _load(path: Path) -> Samples:
    """Return the crops or frames in `path`."""
    try:
        with path.open("rb") as file:
            samples = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError) as fault:
        raise EngineError(f"{path}: no crops (.npy) can be read from it: {fault}") from fault
    if samples.dtype != np.uint8 or samples.ndim != 4 or samples.shape[1] != 1 or not samples.size:
        raise EngineError(f"{path}: holds {samples.dtype} {samples.shape}, must be uint8 [n,1,S,S] with n ≥ 1")
    return np.asarray(samples, np.uint8)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
