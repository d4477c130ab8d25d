"""Swap models of a running daemon and see from outside what it costs the frames around the switch."""

import time
from itertools import pairwise
from typing import Any

import numpy as np

from engines import shipped_model
from station.bench.line import running
from station.control_protocol import Status, Swap, ask
from station.event import InspectionEvent, ModelEvent

__all__ = ["measure_swaps"]

_SWAPS = 8
_RATE_HZ = 60.0
_STEADY_S = 5.0
_BETWEEN_S = 2.0
_AROUND = 3
"""Frames before and after a switch that count as being around it."""

_CONFIG = """
[swap]
cache = "{folder}/plans"
shadow_crops = 120
probation_frames = 60
"""


def measure_swaps() -> dict[str, Any]:
    """Return what swaps cost at 60 Hz and 3 regions a frame, to and fro between two precisions of the shipped model.

    `added_ms` is the latency of the frames around a switch beyond the median of their own model; `steady_added_ms`
    the same of frames while nothing is swapped, for comparison. `p99_ms` is by what was going on.
    """
    events: list[InspectionEvent | ModelEvent] = []
    models = (shipped_model().with_name("neu-compact-fp32.onnx"), shipped_model())
    with running(3, _RATE_HZ, b"", _CONFIG) as line:
        endpoint = f"ipc://{line.folder}/control"

        def hear(until_s: float) -> None:
            while time.monotonic() < until_s:
                message = line.receive()
                if isinstance(message, InspectionEvent | ModelEvent):
                    events.append(message)

        hear(time.monotonic() + _STEADY_S)
        for number in range(_SWAPS):
            job = ask(endpoint, Swap(str(models[number % 2]))).job
            while (status := ask(endpoint, Status())).stage != "idle" or status.job != job:
                hear(time.monotonic() + 0.1)
            if status.outcome != "kept":
                raise RuntimeError(f"a swap failed: {status.report}")
            hear(time.monotonic() + _BETWEEN_S)
    return _evaluate(events)


def _evaluate(events: list[InspectionEvent | ModelEvent]) -> dict[str, Any]:
    frames = [event for event in events if isinstance(event, InspectionEvent)]
    phases = np.array(_phases(events))
    models = np.array([frame.origin.model for frame in frames])
    latency = np.array([frame.latency_ms for frame in frames])
    steady = phases == "steady"
    usual = {model: float(np.median(latency[(models == model) & steady])) for model in set(models.tolist())}
    added = latency - np.array([usual[model] for model in models.tolist()])
    switches = [index for index, (before, after) in enumerate(pairwise(models.tolist()), 1) if before != after]
    around = np.concatenate([added[index - _AROUND : index + _AROUND] for index in switches])
    return {
        "swaps": len(switches),
        "frames": len(frames),
        "invalid": sum(frame.verdict == "invalid" for frame in frames),
        "lost": sum(after.sequence - before.sequence - 1 for before, after in pairwise(frames)),
        "usual_ms": {model: round(value, 3) for model, value in usual.items()},
        "added_ms": {"median": round(float(np.median(around)), 3), "max": round(float(around.max()), 3)},
        "steady_added_ms": _tail(added[steady]),
        "p99_ms": {
            phase: round(float(np.percentile(latency[phases == phase], 99)), 3) for phase in sorted(set(phases))
        },
    }


def _phases(events: list[InspectionEvent | ModelEvent]) -> list[str]:
    """Return for each frame what was going on: `building`, `shadowing`, `probation`, or `steady`."""
    names = {"building": "building", "shadowing": "shadowing", "swapped": "probation"}
    phase, phases = "steady", []
    for event in events:
        if isinstance(event, ModelEvent):
            phase = names.get(event.action, "steady")
        else:
            phases.append(phase)
    return phases


def _tail(added: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    return {"p99": round(float(np.percentile(added, 99)), 3), "max": round(float(added.max()), 3)}
