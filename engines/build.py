"""Turn a model file into a plan: converted, compiled, proved against the file it came from, and put into the cache.

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

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

import shadowline
from engines.base import Engine
from engines.flavour import find_flavour
from engines.gpu import find_gpu
from engines.model import ModelCard, Precision
from engines.onnx_runtime import OnnxRuntimeEngine, onnx_runtime_version
from engines.parity import Parity, compare, refuse_flips
from engines.plan import ANY, Passport, Plan, PlanKey, Profile, file_sha256
from engines.plan_cache import PlanCache
from engines.tensor_rt import TensorRtEngine
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
    crops: Path | None = None
    """Crops uint8 [n,1,s,s] as .npy, scaled as the model wants them: ranges come from every other one, parity from
    the rest."""
    max_flip_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    limit_s: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """A build process that takes longer is ended."""


def plan_key(request: BuildRequest, card: ModelCard) -> PlanKey:
    """Return the key of the plan that `request` asks for on this machine; without crops, of any calibration."""
    precision = request.precision or card.precision
    calibration = ""
    if precision == "int8" and card.precision != "int8":
        calibration = _sha256_of_calibration(request, card)
    facts: dict[str, Any] = {
        "model_sha256": file_sha256(request.model),
        "precision": precision,
        "calibration_sha256": calibration,
        "profile": request.profile,
    }
    if request.target == "onnx_runtime":
        return PlanKey(runtime="onnx_runtime", version=onnx_runtime_version(), **facts)
    flavour, version = find_flavour()
    if request.capability is not None:
        if flavour == "tensorrt":
            raise EngineError("TensorRT builds for the GPU at hand only: --capability needs TensorRT-RTX")
        return PlanKey(runtime=flavour, version=version, driver=ANY, gpu=ANY, capability=request.capability, **facts)
    gpu = find_gpu(request.gpu)
    return PlanKey(
        runtime=flavour, version=version, driver=gpu.driver, gpu=gpu.name, capability=gpu.capability, **facts
    )


def _sha256_of_calibration(request: BuildRequest, card: ModelCard) -> str:
    if request.crops is None:
        return ANY
    return hashlib.sha256(_calibration(request, card.crop.size_px).tobytes()).hexdigest()


def build(request: BuildRequest, progress: Progress) -> Plan:
    """Return the plan of `request`, from the cache or freshly built. Raises `EngineError` and its kin."""
    progress("reading the model", 0.0)
    cache = PlanCache(request.cache)
    with OnnxRuntimeEngine(request.model, max_batch=request.profile.max_batch) as reference:
        key = plan_key(request, reference.card)
        with cache.adding(key, lambda: progress("waiting for another build", 0.0)) as folder:
            found = cache.get(key)
            if found is None:
                _fill(folder, request, key, reference, progress)
            elif found.passport.parity is not None:
                refuse_flips(found.passport.parity, request.max_flip_share)
    return found or Plan.read(cache.folder / key.digest)


def _fill(folder: Path, request: BuildRequest, key: PlanKey, reference: Engine, progress: Progress) -> None:
    """Make model file, plan and passport in `folder`."""
    from engines.precision import convert  # needs onnx: only when built

    start_s = time.monotonic()
    converted = key.precision != reference.card.precision
    progress(f"converting to {key.precision}" if converted else f"taking it as it is, {key.precision}", 0.0)
    model = folder / "model.onnx"
    side = reference.card.crop.size_px
    card = convert(request.model, model, key.precision, _calibration(request, side) if key.calibration_sha256 else None)
    engine = model
    if key.runtime != "onnx_runtime":
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
    if request.crops is not None and (converted or _runs_on_gpu(key)):
        progress("proving", 0.0)
        parity = _prove(plan, reference, _proof(request, converted, side), request)
        Plan.write(folder, passport.model_copy(update={"parity": parity}))


def _compile(model: Path, card: ModelCard, key: PlanKey, request: BuildRequest, progress: Progress) -> bytes:
    from engines.compile import compile_plan  # needs TensorRT: only when built

    machine = f"{key.runtime}-{key.version}-{key.gpu}".replace(" ", "_").replace("/", "_")
    return compile_plan(
        model,
        card,
        key,
        request.workspace_mib,
        request.cache / f".timing-{machine}",
        lambda part, phase: progress(f"compiling: {phase.lower()}", part),
    )


def _prove(plan: Plan, reference: Engine, crops: NDArray[np.uint8], request: BuildRequest) -> Parity:
    """Compare the new plan with the file it was built from, on the runtime that will run it where that is here."""
    parity = _compare(plan, reference, crops)
    refuse_flips(parity, request.max_flip_share)
    return parity


def _compare(plan: Plan, reference: Engine, crops: NDArray[np.uint8]) -> Parity:
    key = plan.passport.key
    candidate: Engine = OnnxRuntimeEngine(plan.model, max_batch=key.profile.max_batch)
    if _runs_on_gpu(key):
        candidate = TensorRtEngine(plan)
    with candidate:
        return compare(reference, candidate, crops)


def _runs_on_gpu(key: PlanKey) -> bool:
    """Whether the plan runs on this computer's GPU, so that ONNX Runtime's answers are not its own."""
    return key.runtime != "onnx_runtime" and key.driver != ANY


def _calibration(request: BuildRequest, side: int) -> NDArray[np.uint8]:
    if request.crops is None:
        raise EngineError(f"{request.model}: int8 needs crops to measure its ranges on: --crops FOLDER")
    return _load(request.crops, side)[::2]


def _proof(request: BuildRequest, converted: bool, side: int) -> NDArray[np.uint8]:
    """Return the crops for the parity: those that no range was measured on."""
    assert request.crops is not None
    crops = _load(request.crops, side)
    return crops[1::2] if converted and len(crops) > 1 else crops


def _load(path: Path, side: int) -> NDArray[np.uint8]:
    """Return the crops in `path`, scaled to `side` pixels where they were cut for another model."""
    try:
        with path.open("rb") as file:
            crops = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError) as fault:
        raise EngineError(f"{path}: no crops (.npy) can be read from it: {fault}") from fault
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1] != 1 or not crops.size:
        raise EngineError(f"{path}: holds {crops.dtype} {crops.shape}, must be uint8 [n,1,S,S] with n ≥ 1")
    if crops.shape[2:] == (side, side):
        return np.asarray(crops, np.uint8)
    scaled = [cv2.resize(crop[0], (side, side), interpolation=cv2.INTER_AREA) for crop in crops]
    return np.stack(scaled).astype(np.uint8, copy=False)[:, None]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
