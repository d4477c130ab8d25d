"""Choose and open the engine that the configuration asks for, and the plan that is to follow it. Any thread."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from engines import Engine, FakeEngine, OnnxRuntimeEngine, read_card, shipped_model
from engines.build import BuildRequest, plan_key
from engines.model import Precision
from engines.onnx_file import Provider, has_provider
from engines.plan import Plan, Profile
from engines.plan_cache import PlanCache, default_cache
from engines.plan_session import require_pycuda
from engines.tensor_rt import TensorRtEngine
from shadowline.errors import EngineError, EngineMismatch, MissingExtra
from station.config import (
    AutoEngineConfig,
    EngineConfig,
    FakeEngineConfig,
    OnnxRuntimeConfig,
    PlanBase,
    SwapConfig,
    TensorRtConfig,
)

__all__ = ["OpenEngine", "build_request", "model_file", "open_engine", "open_plan"]


@dataclass(frozen=True, slots=True)
class OpenEngine:
    """An entered engine, the back end that it settled on, and why."""

    engine: Engine
    settled: EngineConfig
    """The configuration with `auto` decided: new models run on the same back end."""
    why: str
    reserve: Engine | None = None
    """Entered too; takes over when the engine fails while the line runs."""
    wanted: bool = False
    """Whether it stands in for a plan that is to be built in the background."""

    def stands_in(self, engine: Engine) -> bool:
        """Whether `engine` is only there while the one that is meant is not."""
        return engine is self.reserve or (self.wanted and engine is self.engine)

    def close(self) -> None:
        """Leave both engines."""
        for engine in (self.engine, self.reserve):
            if engine is not None:
                engine.__exit__(None, None, None)


def open_engine(config: EngineConfig, swap: SwapConfig) -> OpenEngine:
    """Return the engine of `config`, entered.

    Where a fitting TensorRT plan is missing, ONNX Runtime stands in until one is built, or `EngineMismatch` is raised,
    as `on_mismatch` says. Raises `EngineError` or `MissingExtra` where what is asked for can't be had.
    """
    match config:
        case OnnxRuntimeConfig():
            return OpenEngine(_onnx_runtime(config).__enter__(), config, "as configured")
        case TensorRtConfig():
            return _open_tensor_rt(config, swap)
        case AutoEngineConfig():
            return _open_best(config, swap)
        case FakeEngineConfig():
            return OpenEngine(FakeEngine(config.labels).__enter__(), config, "as configured")
        case _:
            assert_never(config)


def open_plan(plan: Plan, config: EngineConfig) -> Engine:
    """Return the engine that runs `plan` on the back end of `config`, entered. Raises `EngineError`."""
    match config:
        case PlanBase():
            return TensorRtEngine(plan, config.gpu).__enter__()
        case OnnxRuntimeConfig():
            return _onnx_runtime(config.model_copy(update={"model": plan.model})).__enter__()
        case FakeEngineConfig():
            return OnnxRuntimeEngine(plan.model).__enter__()
        case _:
            assert_never(config)


def model_file(config: EngineConfig) -> Path | None:
    """Return the model file that `config` runs; None where it runs none."""
    return None if isinstance(config, FakeEngineConfig) else config.model or shipped_model()


def build_request(
    config: EngineConfig, swap: SwapConfig, model: Path | None = None, precision: Precision | None = None
) -> BuildRequest:
    """Return what to build of `model`, or of the configured one, for the back end of `config`."""
    plan = config if isinstance(config, PlanBase) else None
    max_batch = 32 if isinstance(config, FakeEngineConfig) else config.max_batch
    return BuildRequest(
        model=model or model_file(config) or shipped_model(),
        cache=swap.cache or default_cache(),
        target="tensor_rt" if plan else "onnx_runtime",
        precision=precision or (plan.precision if plan else None),
        profile=Profile(opt_batch=plan.opt_batch if plan else min(8, max_batch), max_batch=max_batch),
        gpu=plan.gpu if plan else 0,
        workspace_mib=swap.workspace_mib,
        max_flip_share=swap.max_flip_share,
    )


def _open_tensor_rt(config: TensorRtConfig | AutoEngineConfig, swap: SwapConfig) -> OpenEngine:
    request = build_request(config, swap)
    key = plan_key(request, read_card(request.model))
    require_pycuda()
    cpu = _onnx_runtime(_without_plan(config, "cpu")).__enter__()
    try:
        engine = TensorRtEngine(PlanCache(request.cache).find(key), config.gpu).__enter__()
    except EngineMismatch as fault:
        if config.on_mismatch == "refuse":
            raise
        return OpenEngine(cpu, config, f"until a plan is built: {fault}", wanted=True)
    return OpenEngine(engine, config, "a fitting plan is there", reserve=cpu)


def _open_best(config: AutoEngineConfig, swap: SwapConfig) -> OpenEngine:
    try:
        return _open_tensor_rt(config, swap)
    except EngineMismatch:
        raise
    except (EngineError, MissingExtra) as fault:
        why = f"no TensorRT: {fault}" + (f"; so not in {config.precision}" if config.precision else "")
    on_cpu, on_cuda = _without_plan(config, "cpu"), _without_plan(config, "cuda")
    cpu = _onnx_runtime(on_cpu).__enter__()
    if not has_provider("cuda"):
        return OpenEngine(cpu, on_cpu, f"{why}; this onnxruntime is without CUDA")
    try:
        cuda = _onnx_runtime(on_cuda).__enter__()
    except EngineMismatch:
        raise
    except EngineError as fault:
        return OpenEngine(cpu, on_cpu, f"{why}; no CUDA: {fault}")
    return OpenEngine(cuda, on_cuda, why, reserve=cpu)


def _without_plan(config: PlanBase, provider: Provider) -> OnnxRuntimeConfig:
    """Return the same engine on ONNX Runtime; a CPU needs no keeping warm."""
    return OnnxRuntimeConfig(
        model=config.model,
        max_batch=config.max_batch,
        threads=config.threads,
        provider=provider,
        keep_warm_ms=config.keep_warm_ms if provider == "cuda" else 0.0,
    )


def _onnx_runtime(config: OnnxRuntimeConfig) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(config.model, config.provider, config.threads, config.max_batch)
