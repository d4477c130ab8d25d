"""Does loading and unloading leave anything behind? Pure."""

import ctypes
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.gpu.engines import Subject
from tests.gpu.machine import gpu_used_mib
from tests.gpu.samples import cut_sample_crops
from tests.gpu.section import Effort, Row

__all__ = ["measure_cycles"]

_MIB = 1 << 20
_FLAT_MIB = 8.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_give_back_free_memory = ctypes.CDLL(None).malloc_trim  # glibc keeps what was freed, and that is no leak


def measure_cycles(subject: Subject, effort: Effort) -> list[Row]:
    """Return what process and GPU hold at least in the first and in the second half of many loads and unloads.

    The least, since allocators hold on to memory for a while; the first tenth is not counted. The GPU's figure is that
    of the whole device: nothing else may run there. Target: neither grows by more than 8 MiB, no file stays open.
    """
    states = np.empty((effort.cycles, 3))
    for cycle in range(effort.cycles):
        with subject.open() as engine:
            engine.classify(cut_sample_crops(engine.card.crop, 1))
        states[cycle] = _state()
    counted = states[effort.cycles // 10 :]
    first, second = (_least(half) for half in np.array_split(counted, 2))
    row: Row = {"cycles": effort.cycles}
    for column, name in enumerate(("process", "gpu")):
        if np.isfinite(first[column]):
            growth_mib = float(second[column] - first[column])
            row |= {f"{name}_mib": round(float(first[column]), 2), f"{name}_growth_mib": round(growth_mib, 2)}
            row[f"{name}_bytes_per_cycle"] = round(growth_mib * _MIB / (len(counted) / 2), 1)
    row["files_growth"] = int(second[2] - first[2])
    row["met"] = bool(np.nanmax(second[:2] - first[:2]) <= _FLAT_MIB and second[2] <= first[2])
    return [row]


def _state() -> tuple[float, float, int]:
    """Return resident memory and used GPU memory in MiB (NaN where there is no GPU), and the open files."""
    _give_back_free_memory(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    used = gpu_used_mib()
    return pages * _PAGE / _MIB, np.nan if used is None else used, len(os.listdir("/proc/self/fd"))


def _least(states: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(states.min(0))
