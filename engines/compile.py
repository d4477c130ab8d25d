"""Compile a model file into a TensorRT plan. Runs in the build process alone: a compiler that dies takes nothing along.

Strongly typed: precision is what the file says. The same code serves TensorRT 10.13+, 11 and TensorRT-RTX; they differ
in who picks the GPU (TensorRT compiles for the one at hand, RTX for a named compute capability, without one) and in
the timing cache, which RTX does without.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engines.border import Border
from engines.flavour import load_flavour
from engines.plan import PlanKey
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["compile_plan"]

logger = logging.getLogger(__name__)


def compile_plan(
    model: Path,
    name: str,
    border: Border,
    key: PlanKey,
    workspace_mib: int,
    timing_cache: Path,
    report: Callable[[float, str], None],
) -> bytes:
    """Return the plan of `model`, called `name`, for the GPU of `key`.

    `report` gets the part done and what is being done. Raises `EngineError` when the compiler refuses the model or the
    GPU, `EngineMismatch` when the graph is not one of `border`.
    """
    trt = load_flavour("tensorrt_rtx" if key.runtime == "tensorrt_rtx" else "tensorrt")
    if trt.__version__ != key.version:
        raise EngineMismatch(f"{key.runtime} is {trt.__version__}, must be {key.version}: install one of the two only")
    log = _make_log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model.read_bytes()):
        raise EngineError(f"{name}: {key.runtime} can't take it: {_parser_fault(parser)}")
    _keep_outputs(trt, network, border, model)
    config = _configure(trt, builder, border, key, workspace_mib)
    config.progress_monitor = _make_monitor(trt, report)
    _use_timing_cache(config, key, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{name}: {key.runtime} {key.version} could not build it: {log.words()}")
    _keep_timing_cache(config, key, timing_cache)
    return bytes(plan)


def _configure(trt: Any, builder: Any, border: Border, key: PlanKey, workspace_mib: int) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32: parity is judged against it
    if key.runtime == "tensorrt_rtx":
        _aim(trt, config, key)
    profile = builder.create_optimization_profile()
    batches = (key.profile.min_batch, key.profile.opt_batch, key.profile.max_batch)
    profile.set_shape(border.given, *((batch, *border.shape) for batch in batches))
    config.add_optimization_profile(profile)
    return config


def _aim(trt: Any, config: Any, key: PlanKey) -> None:
    """Compile for the compute capability of `key`, whatever GPU is here."""
    members = trt.ComputeCapability.__members__.items()
    known = {f"{name[2:-1]}.{name[-1]}": member for name, member in members if name.startswith("SM")}
    if key.capability not in known:
        raise EngineError(
            f"TensorRT-RTX {key.version} does not build for compute capability {key.capability}, "
            f"only for {', '.join(known)}: use pip install 'shadowline[gpu]' or the CUDA provider of ONNX Runtime"
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(known[key.capability], 0)


def _keep_outputs(trt: Any, network: Any, border: Border, model: Path) -> None:
    """Check the one input, and keep of the outputs those that the station reads."""
    given, wanted = network.get_input(0), (-1, *border.shape)
    sides = zip(given.shape, wanted, strict=False)
    fits = len(given.shape) == len(wanted) and all(found in (-1, side) for found, side in sides)
    if network.num_inputs != 1 or given.name != border.given or not fits:
        raise EngineMismatch(
            f"{model}: input is {given.name} {tuple(given.shape)}, must be {border.given} "
            f"(N, {', '.join(map(str, border.shape))})"
        )
    kept = {name: None for name in border.outputs if name not in border.optional}
    for output in [network.get_output(index) for index in range(network.num_outputs)]:
        if output.name in border.outputs:
            kept[output.name] = output.dtype
        else:
            network.unmark_output(output)
    elements: dict[type[np.generic], Any] = {np.float32: trt.float32, np.int64: trt.int64}
    for name, found in kept.items():
        element = border.outputs[name][1]
        if found != elements[element]:
            raise EngineMismatch(f"{model}: no {element.__name__} output `{name}`")


def _parser_fault(parser: Any) -> str:
    """Return the parser's first error in words."""
    if not parser.num_errors:
        return "the parser gives no reason"
    fault = parser.get_error(0)
    reason = f"{fault.code().name.lower().replace('_', ' ')} ({' '.join(fault.desc().split())})"
    operator, node = fault.node_operator(), fault.node_name() or fault.node()
    return f"operator {operator}, node {node}: {reason}" if operator else reason


def _use_timing_cache(config: Any, key: PlanKey, path: Path) -> None:
    """Start from what earlier builds measured; an unreadable cache is as good as none."""
    if key.runtime == "tensorrt":
        content = path.read_bytes() if path.exists() else b""
        config.set_timing_cache(config.create_timing_cache(content), False)


def _keep_timing_cache(config: Any, key: PlanKey, path: Path) -> None:
    if key.runtime == "tensorrt":
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(bytes(config.get_timing_cache().serialize()))
        fresh.rename(path)


def _make_log(trt: Any) -> Any:
    """Return a TensorRT logger that keeps errors, to be said in an exception."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self._errors.append(" ".join(message.split()))

        def words(self) -> str:
            return self._errors[0] if self._errors else "it gives no reason"

    return Log()


def _make_monitor(trt: Any, report: Callable[[float, str], None]) -> Any:
    """Return a progress monitor that turns TensorRT's nested phases into one part done."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._phases: dict[str, tuple[int, int]] = {}
            self._most = 0.0
            self._most = 0.0

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._phases[phase] = (max(steps, 1), 0)
            report(self._part(), phase)

        def step_complete(self, phase: str, step: int) -> bool:
            self._phases[phase] = (self._phases[phase][0], step + 1)
            report(self._part(), phase)
            return True

        def phase_finish(self, phase: str) -> None:
            self._phases.pop(phase, None)

        def _part(self) -> float:
            """Return the part done, which never falls: each open phase fills one step of the phase around it."""
            part = 0.0
            for steps, done in reversed(self._phases.values()):
                part = min((done + part) / steps, 1.0)
            self._most = max(self._most, part)
            return self._most

    return Monitor()
