"""Choose the engine that runs a finder file. Any thread."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from engines.build import BuildRequest, plan_key
from engines.frame_engine import FrameEngine
from engines.frame_onnx import FrameOnnxEngine, read_finder_card
from engines.frame_tensor_rt import FrameTensorRtEngine
from engines.onnx_file import Provider
from engines.plan import Plan
from engines.plan_cache import PlanCache, default_cache

__all__ = ["FrameEngineConfig", "open_frame_engine"]


class FrameEngineConfig(BaseModel):
    """What runs a finder file; equal ones may share an engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    backend: Literal["onnx_runtime", "tensor_rt"] = "onnx_runtime"
    provider: Provider = "cpu"
    """Where ONNX Runtime runs it."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of one run of ONNX Runtime."""
    gpu: Annotated[int, Field(ge=0, le=63)] = 0
    """Number of TensorRT's GPU, as nvidia-smi counts."""
    cache: Path | None = None
    """Folder of built plans, if not the service's or the user's own."""


def open_frame_engine(config: FrameEngineConfig) -> FrameEngine:
    """Return the engine that `config` asks for, to be entered by the thread that uses it.

    Raises `EngineError` or `MissingExtra` where there is no TensorRT or GPU for it, and `EngineMismatch` without a
    fitting plan: `station engine build` makes one.
    """
    if config.backend == "onnx_runtime":
        return FrameOnnxEngine(config.model, config.provider, config.threads)
    return FrameTensorRtEngine(_find_plan(config), config.gpu)


def _find_plan(config: FrameEngineConfig) -> Plan:
    """Return the newest plan of the file for this GPU, for whatever number and size of frames."""
    facts = {"model": config.model, "cache": config.cache or default_cache(), "target": "tensor_rt", "gpu": config.gpu}
    request = BuildRequest.model_validate(facts)
    wanted = plan_key(request, read_finder_card(config.model))
    return PlanCache(request.cache).find(wanted, but={"profile", "input_px"})
