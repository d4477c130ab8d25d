"""What the inspect thread found out about one announced frame: the value behind one event. Pure."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from station.frame import Frame, Missing
from station.verdict import Defect, Verdict

__all__ = ["Asked", "Inspection", "Stages"]


@dataclass(slots=True)
class Stages:
    """Time that each step of one frame took, in nanoseconds; `wait` is from capture to its turn."""

    wait_ns: int = 0
    regions_ns: int = 0
    crops_ns: int = 0
    classify_ns: int = 0
    verdict_ns: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the network was asked of one frame, and what it said: crops uint8 [n,1,S,S], boxes int32 [n,4], labels [n].

    The crops are valid until the next frames are inspected. Regions that a finder names by itself are not among them.
    """

    crops: NDArray[np.uint8]
    boxes: NDArray[np.int32]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """One frame's result. `about` keeps the frame's record, not its picture, which is given back.

    `reason` names the labels that reject or why the frame is invalid; `detail` is for people.
    `latency_ns` runs from capture to decision; `late` says that it passed the budget. `asked` is None where the network
    had nothing to name.
    """

    about: Frame | Missing
    sequence: int
    verdict: Verdict
    reason: str
    latency_ns: int
    late: bool
    defects: tuple[Defect, ...] = ()
    stages: Stages = field(default_factory=Stages)
    detail: str = ""
    asked: Asked | None = None
