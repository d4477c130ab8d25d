"""What an engine does with damaged files, a full GPU and a process that ends in the middle. Pure."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from shadowline.errors import EngineError
from tests.gpu.child import Ending, run_child
from tests.gpu.engines import Subject, damaged_copies, load_pycuda
from tests.gpu.machine import gpu_used_mib
from tests.gpu.samples import cut_sample_crops
from tests.gpu.section import Effort, Row

__all__ = ["measure_damage", "measure_endings", "measure_full_gpu"]

_ENDINGS: dict[Ending, str] = {
    "leave": "answered",
    "raise": "answered ended with code 1",
    "kill": "answered died of SIGKILL",
}
_LEFT_BYTES = 16 << 20
_SETTLE_S = 5.0
_SLACK_MIB = 4


def measure_damage(subject: Subject, effort: Effort) -> list[Row]:
    """Return what opening each damaged copy gives. Target: refused in one line, never a crash."""
    with tempfile.TemporaryDirectory() as folder:
        answers = {words: run_child(copy) for words, copy in damaged_copies(subject, Path(folder)).items()}
        return [
            {"file": words, "result": answer.replace(folder, ""), "met": _is_refusal(answer)}
            for words, answer in answers.items()
        ]


def measure_full_gpu(subject: Subject, effort: Effort) -> list[Row]:
    """Fill the GPU, open the engine, free the GPU, open it again. Target: refused, then as if nothing had been.

    Raises `EngineError` where there is no GPU to fill.
    """
    if subject.backend == "cpu":
        raise EngineError("an engine on the CPU takes no GPU memory")
    cuda = load_pycuda()
    with ExitStack() as filled:
        _fill(cuda, filled)
        full = run_child(subject)
    freed = run_child(subject)
    return [
        {"gpu": "full", "result": full, "met": _is_refusal(full)},
        {"gpu": "freed", "result": freed, "met": freed == "answered"},
    ]


def measure_endings(subject: Subject, effort: Effort) -> list[Row]:
    """Return how processes end that hold the engine, and what stays on the GPU of each. Target: cleanly, nothing."""
    with subject.open() as engine:
        engine.classify(cut_sample_crops(engine.card.crop, 1))
    rows: list[Row] = []
    for ending, expected in _ENDINGS.items():
        before = gpu_used_mib()
        answer = run_child(subject, ending)
        left = _wait_for_release(before)
        good = answer.startswith(expected) and (ending != "leave" or answer == expected)
        rows.append(
            {"ending": ending, "result": answer, "gpu_mib_left": left, "met": good and (left or 0) <= _SLACK_MIB}
        )
    return rows


def _is_refusal(answer: str) -> bool:
    return answer.startswith("refused: ") and "\n" not in answer


def _fill(cuda: Any, filled: ExitStack) -> None:
    """Take all memory of the GPU but a few MiB, until `filled` closes."""
    context = cuda.Device(0).retain_primary_context()
    context.push()
    filled.callback(context.detach)
    share = cuda.mem_get_info()[0] - _LEFT_BYTES
    while share > _LEFT_BYTES // 4:
        try:
            filled.callback(cuda.mem_alloc(share).free)
        except cuda.MemoryError:
            share //= 2


def _wait_for_release(before: int | None) -> int | None:
    """Return how much more of the GPU's memory is in use than `before`, once it is none or some seconds have passed."""
    if before is None:
        return None
    end_s = time.monotonic() + _SETTLE_S
    while (left := (gpu_used_mib() or 0) - before) > 0 and time.monotonic() < end_s:
        time.sleep(0.1)
    return max(0, left)
