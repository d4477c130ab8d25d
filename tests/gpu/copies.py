"""How much of a classification is copying between host and device. Pure."""

import time
from typing import Any

import numpy as np

from shadowline.errors import EngineError
from tests.gpu.engines import Subject, load_pycuda
from tests.gpu.samples import cut_sample_crops
from tests.gpu.section import Effort, Row

__all__ = ["measure_copies"]

_BATCHES = (1, 8, 32)


def measure_copies(subject: Subject, effort: Effort) -> list[Row]:
    """Return by batch the medians of copying crops in and probabilities out, and their share of `classify`.

    Copies are timed by the device's own events: page-locked memory for TensorRT, ordinary memory for ONNX Runtime,
    as each of them copies. Raises `EngineError` on the CPU, which copies nothing.
    """
    if subject.backend == "cpu":
        raise EngineError("an engine on the CPU copies nothing to a device")
    cuda = load_pycuda()
    repeats = max(20, effort.frames // 10)
    with subject.open() as engine:
        rows = []
        for batch in _BATCHES:
            crops = cut_sample_crops(engine.card.crop, batch)
            answers = np.empty((batch, len(engine.card.labels)), np.float32)
            times_ns = np.empty(repeats, np.int64)
            for index in range(-3, repeats):
                start_ns = time.perf_counter_ns()
                engine.classify(crops)
                times_ns[max(index, 0)] = time.perf_counter_ns() - start_ns
            in_us, out_us = _time_copies(cuda, crops, answers, repeats, locked=subject.backend == "tensor_rt")
            total_us = float(np.median(times_ns)) / 1e3
            row: Row = {"batch": batch, "in_us": round(in_us, 2), "out_us": round(out_us, 2)}
            rows.append(row | {"classify_us": round(total_us, 2), "share": round((in_us + out_us) / total_us, 3)})
    return rows


def _time_copies(
    cuda: Any,
    crops: np.ndarray[Any, np.dtype[np.uint8]],
    answers: np.ndarray[Any, np.dtype[np.float32]],
    repeats: int,
    locked: bool,
) -> tuple[float, float]:
    """Return the median microseconds of one copy in and one copy out."""
    context = cuda.Device(0).retain_primary_context()
    context.push()
    try:
        if locked:
            crops, answers = cuda.pagelocked_empty_like(crops), cuda.pagelocked_empty_like(answers)
        stream, marks = cuda.Stream(), [cuda.Event() for _ in range(3)]
        crops_there, answers_there = cuda.mem_alloc(crops.nbytes), cuda.mem_alloc(answers.nbytes)
        times_us = np.empty((repeats, 2))
        for index in range(-3, repeats):
            marks[0].record(stream)
            cuda.memcpy_htod_async(crops_there, crops, stream)
            marks[1].record(stream)
            cuda.memcpy_dtoh_async(answers, answers_there, stream)
            marks[2].record(stream)
            marks[2].synchronize()
            times_us[max(index, 0)] = [1e3 * marks[i].time_till(marks[i + 1]) for i in (0, 1)]
        crops_there.free()
        answers_there.free()
        del stream, marks, crops, answers
    except cuda.Error as fault:
        raise EngineError(f"CUDA: {fault}") from fault
    finally:
        context.detach()
    copy_in_us, copy_out_us = np.median(times_us, axis=0).tolist()
    return copy_in_us, copy_out_us
