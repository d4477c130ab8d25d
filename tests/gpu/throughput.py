"""How many crops a second an engine names, beside a loop that does nothing but run the same network. Pure."""

import time
from collections.abc import Callable

import numpy as np

from tests.gpu.bare import BareLoop, open_bare_loop
from tests.gpu.engines import Subject
from tests.gpu.samples import cut_sample_crops
from tests.gpu.section import Effort, Row

__all__ = ["measure_throughput"]

_BATCHES = (1, 2, 4, 8, 16, 32)
_TARGET = 0.95


def measure_throughput(subject: Subject, effort: Effort) -> list[Row]:
    """Return crops a second by batch; engine and bare loops take turns, so that a change of clocks strikes all.

    `bare` runs back to back on buffers that stay on the device and waits once at the end; `bare_waiting` waits after
    each run, as whoever needs the answer must. Target on a GPU: at least 0.95 of `bare`.
    """
    with subject.open() as engine, open_bare_loop(subject) as bare:
        crops = cut_sample_crops(engine.card.crop, _BATCHES[-1])
        return [
            _row(subject, batch, lambda part=crops[:batch]: engine.classify(part), bare, effort)  # type: ignore[misc]
            for batch in _BATCHES
        ]


def _row(subject: Subject, batch: int, classify: Callable[[], object], bare: BareLoop, effort: Effort) -> Row:
    bare.set_batch(batch)
    steps: dict[str, Callable[[int], object]] = {
        "engine": lambda runs: [classify() for _ in range(runs)],
        "bare": lambda runs: bare.run(runs, wait_each=False),
        "bare_waiting": lambda runs: bare.run(runs, wait_each=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in steps}
    runs = {name: _calibrate(step, effort.window_s) for name, step in steps.items()}
    for _ in range(effort.rounds):
        for name, step in steps.items():
            start_s = time.perf_counter()
            step(runs[name])
            rates[name].append(batch * runs[name] / (time.perf_counter() - start_s))
    of_bare = float(np.median(np.divide(rates["engine"], rates["bare"])))
    row: Row = {"batch": batch, **{f"{name}_per_s": round(float(np.median(rates[name]))) for name in rates}}
    row["of_bare"] = round(of_bare, 3)
    row["of_bare_waiting"] = round(float(np.median(np.divide(rates["engine"], rates["bare_waiting"]))), 3)
    if subject.backend != "cpu":
        row["met"] = of_bare >= _TARGET
    return row


def _calibrate(step: Callable[[int], object], window_s: float) -> int:
    """Return how many runs fill the window; warms up by the way."""
    runs = 1
    while True:
        start_s = time.perf_counter()
        step(runs)
        spent_s = time.perf_counter() - start_s
        if spent_s >= window_s / 4:
            return max(1, round(runs * window_s / spent_s))
        runs *= 2
