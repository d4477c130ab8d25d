"""How long from a frame in memory to the labels of its regions. Pure."""

import time

import numpy as np

from station.crops import cut_crops
from tests.gpu.engines import Subject
from tests.gpu.samples import CROPS_A_FRAME, draw_frames
from tests.gpu.section import Effort, Row, percentiles_ms

__all__ = ["measure_latency"]

_TARGET_P99_MS = 1.0


def measure_latency(subject: Subject, effort: Effort) -> list[Row]:
    """Return the times of cutting 32 crops out of 2048×1000, of naming them, and of both.

    Target on a GPU: 99 of 100 frames within 1 ms.
    """
    with subject.open() as engine:
        cut, labels, samples = engine.card.crop, engine.card.labels, draw_frames()
        buffer = np.empty((CROPS_A_FRAME, 1, cut.size_px, cut.size_px), np.uint8)
        ticks_ns = np.empty((effort.frames, 3), np.int64)
        for index in range(-(effort.frames // 10), effort.frames):  # the first tenth warms up
            sample = samples[index % len(samples)]
            start_ns = time.perf_counter_ns()
            crops = cut_crops(sample.image, sample.boxes, cut, buffer)
            cut_ns = time.perf_counter_ns()
            [labels[best] for best in engine.classify(crops).probabilities.argmax(1).tolist()]
            ticks_ns[max(index, 0)] = start_ns, cut_ns, time.perf_counter_ns()
    steps_ns = np.diff(ticks_ns, axis=1)
    rows: list[Row] = [
        {"step": "cut", **percentiles_ms(steps_ns[:, 0])},
        {"step": "name", **percentiles_ms(steps_ns[:, 1])},
        {"step": "both", **percentiles_ms(steps_ns.sum(1))},
    ]
    if subject.backend != "cpu":
        rows[-1]["met"] = float(np.percentile(steps_ns.sum(1), 99)) <= _TARGET_P99_MS * 1e6
    return rows
