"""What a section of the suite is: a measurement of one engine that answers with rows of figures. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tests.gpu.engines import Subject

__all__ = ["Effort", "Row", "Section", "percentiles_ms"]

Row: TypeAlias = dict[str, str | int | float | bool | None]
"""Column → figure, unit in the name; `None` where it can't be had. `met` says whether the row keeps the target."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    crops: int = 1000
    window_s: float = 0.5
    """How long one figure of throughput is taken."""
    rounds: int = 5
    frames: int = 3000
    gaps_ms: tuple[int, ...] = (1, 10, 100, 1000)
    gap_s: float = 4.0
    """Time spent on one length of gap, at least five gaps."""
    cycles: int = 1000


@dataclass(frozen=True, slots=True)
class Section:
    """One question to each engine. `measure` raises `EngineError` or `MissingExtra` where it can't be answered."""

    name: str
    title: str
    measure: Callable[[Subject, Effort], list[Row]]


def percentiles_ms(times_ns: NDArray[np.int64]) -> Row:
    """Return the middle, the 99th percentile and the largest of `times_ns`."""
    p50, p99 = np.percentile(times_ns, [50, 99])
    return {"p50_ms": round(p50 / 1e6, 4), "p99_ms": round(p99 / 1e6, 4), "max_ms": round(times_ns.max() / 1e6, 4)}
