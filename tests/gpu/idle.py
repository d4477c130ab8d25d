"""What the first classification after a pause costs, without and with pulses that keep the device awake. Pure."""

import time

import numpy as np
from numpy.typing import NDArray

from engines import Engine
from tests.gpu.engines import Subject
from tests.gpu.samples import cut_sample_crops
from tests.gpu.section import Effort, Row, percentiles_ms

__all__ = ["measure_idle"]

_BATCH = 8
_PULSES_MS = (2, 50)
_LEAST_GAPS = 5


def measure_idle(subject: Subject, effort: Effort) -> list[Row]:
    """Return by gap the time of naming 8 crops after it, and how many times longer that is than without a gap.

    Keeping warm is one crop named every 2 ms, or every 50 ms as a station does, while the line idles.
    """
    with subject.open() as engine:
        crops = cut_sample_crops(engine.card.crop, _BATCH)
        busy_ns = _times(engine, crops, 0.0, None, max(_LEAST_GAPS, effort.frames // 10))
        rows: list[Row] = [{"gap_ms": 0, "keep_warm": "off", **percentiles_ms(busy_ns), "penalty": 1.0}]
        for gap_ms in effort.gaps_ms:
            repeats = min(max(_LEAST_GAPS, round(1e3 * effort.gap_s / gap_ms)), 500)
            for pulse_ms in (None, *(one for one in _PULSES_MS if one < gap_ms)):
                pulse_s = None if pulse_ms is None else pulse_ms / 1e3
                words = "off" if pulse_ms is None else f"{pulse_ms} ms"
                times_ns = _times(engine, crops, gap_ms / 1e3, pulse_s, repeats)
                penalty = float(np.median(times_ns) / np.median(busy_ns))
                row: Row = {"gap_ms": gap_ms, "keep_warm": words, **percentiles_ms(times_ns)}
                rows.append(row | {"penalty": round(penalty, 2)})
    return rows


def _times(
    engine: Engine, crops: NDArray[np.uint8], gap_s: float, pulse_s: float | None, repeats: int
) -> NDArray[np.int64]:
    """Return the nanoseconds of `classify`, each after a gap."""
    times_ns = np.empty(repeats, np.int64)
    for index in range(-2, repeats):
        _wait(engine, crops[:1], gap_s, pulse_s)
        start_ns = time.perf_counter_ns()
        engine.classify(crops)
        times_ns[max(index, 0)] = time.perf_counter_ns() - start_ns
    return times_ns


def _wait(engine: Engine, crop: NDArray[np.uint8], gap_s: float, pulse_s: float | None) -> None:
    end_s = time.perf_counter() + gap_s
    while (left_s := end_s - time.perf_counter()) > 0:
        time.sleep(min(left_s, pulse_s or left_s))
        if pulse_s is not None and time.perf_counter() < end_s:
            engine.classify(crop)
