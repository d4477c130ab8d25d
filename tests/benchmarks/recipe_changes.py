"""What changing recipes costs the line, and how long a change takes, on a real daemon at 60 Hz with 3 regions a frame.

    python -m tests.benchmarks.recipe_changes [--changes 200]

Prints one line of JSON: `answer_ms` from request to reply (the change holds by then; a frame every 16.7 ms is what it
waits for), `latency_ms` of the frames while nothing changes and of the first frame after each change, and what was lost
or mixed. `prepare_s` is how long the second model took to be built and proved.
"""

import argparse
import json
import time
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np

from engines import shipped_model
from station.bench.line import RunningLine, running
from station.control_protocol import Prepare, Recipe, Recipes, ask
from station.event import InspectionEvent

_RATE_HZ = 60.0
_STEADY_S = 10.0
_BETWEEN_S = 0.15
_TABLES = """
[swap]
cache = "{{folder}}/plans"
[recipe.hard]
external_id = 1
budget_ms = 30.0
[recipe.soft]
external_id = 2
model = "{model}"
budget_ms = 40.0
verdict.default.action = "accept"
"""
_SOFT_MODEL = shipped_model().with_name("neu-compact-fp32.onnx")
_BUDGETS_MS = {"": 20.0, "hard": 30.0, "soft": 40.0}


def measure(changes: int) -> dict[str, Any]:
    """Return the figures of so many changes between two recipes with a model each."""
    tables = _TABLES.format(model=_SOFT_MODEL)
    events: list[InspectionEvent] = []
    with running(3, _RATE_HZ, b"inspection", tables) as line:
        endpoint = f"ipc://{line.folder}/control"
        prepare_s = _prepare(line, endpoint, events)
        _hear(line, events, _STEADY_S)
        steady = len(events)
        answers_ms = []
        for number in range(changes):
            begun_s = time.monotonic()
            ask(endpoint, Recipe(("soft", "hard")[number % 2]))
            answers_ms.append((time.monotonic() - begun_s) * 1e3)
            _hear(line, events, _BETWEEN_S)
    switches = [at for at, (one, other) in enumerate(pairwise(events), 1) if one.origin.recipe != other.origin.recipe]
    latency_ms = np.array([event.latency_ms for event in events])
    return {
        "changes": len(switches),
        "prepare_s": round(prepare_s, 1),
        "answer_ms": _quantiles(np.array(answers_ms)),
        "latency_ms": {
            "steady": _quantiles(latency_ms[steady // 2 : steady]),
            "while_changing": _quantiles(latency_ms[steady:]),
            "first_after_a_change": _quantiles(latency_ms[switches]),
        },
        "lost": sum(after.sequence - before.sequence - 1 for before, after in pairwise(events)),
        "invalid": sum(event.verdict == "invalid" for event in events),
        "mixed": sum(not _is_whole(event) for event in events),
    }


def _prepare(line: RunningLine, endpoint: str, events: list[InspectionEvent]) -> float:
    begun_s = time.monotonic()
    status = ask(endpoint, Prepare("soft"))
    while status.stage != "idle":
        _hear(line, events, 0.1)
        status = ask(endpoint, Recipes())
    if status.outcome != "kept":
        raise RuntimeError(f"it was not prepared: {status.report}")
    return time.monotonic() - begun_s


def _hear(line: RunningLine, events: list[InspectionEvent], seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if isinstance(message := line.receive(), InspectionEvent):
            events.append(message)


def _is_whole(event: InspectionEvent) -> bool:
    """Whether model, rules and budget are all those of the recipe that it names."""
    soft = event.origin.recipe == "soft"
    verdict = "accept" if soft or not event.defects else "reject"
    return (
        event.budget_ms == _BUDGETS_MS[event.origin.recipe]
        and event.verdict in (verdict, "invalid")
        and event.origin.model.endswith(sha256(_SOFT_MODEL.read_bytes()).hexdigest()[:12]) == soft
    )


def _quantiles(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    return {name: round(float(np.percentile(values, part)), 2) for name, part in (("p50", 50), ("p99", 99))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=200)
    print(json.dumps(measure(parser.parse_args().changes)))


if __name__ == "__main__":
    main()
