"""Decide what a frame's regions mean: labels above the confidence floor, a rule a label, one verdict. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import ConfigError
from station.config import RuleConfig, VerdictConfig

__all__ = ["UNKNOWN", "Defect", "Judge", "Verdict"]

UNKNOWN = "unknown"
"""Label of a region that the network is not sure of; it has a rule like any other and is never guessed."""


class Verdict(StrEnum):
    """What the line is told of a frame. `invalid` means: treat as reject."""

    ACCEPT = "accept"
    REJECT = "reject"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Defect:
    """A named region: `box` x, y, w, h and `area_px` in pixels, `depth` in grey levels beyond the limit."""

    label: str
    confidence: float
    box_px: tuple[int, int, int, int]
    area_px: int
    depth: float


class Judge:
    """The rules of one configuration for one model's labels."""

    def __init__(self, config: VerdictConfig, labels: Sequence[str], model_floor: float) -> None:
        """Lay out a rule for each of `labels` and for `unknown`; below the floor a label is not believed.

        Raises `ConfigError` for a rule of a label that the model does not know.
        """
        self.labels = tuple(labels)
        if strangers := set(config.rules) - {*self.labels, UNKNOWN}:
            known = ", ".join((*self.labels, UNKNOWN))
            raise ConfigError(f"[verdict.rules] {', '.join(sorted(strangers))}: not a label of the model ({known})")
        self.floor = model_floor if config.confidence_floor is None else config.confidence_floor
        self.rules: Mapping[str, RuleConfig] = {
            label: config.rules.get(label, config.default) for label in (*self.labels, UNKNOWN)
        }

    def name(self, probabilities: NDArray[np.float32]) -> list[tuple[str, float]]:
        """Return label and confidence of each row of `probabilities` [n,C]."""
        best = probabilities.argmax(axis=1)
        confidences = probabilities[np.arange(len(best)), best].tolist()
        return [
            (self.labels[index] if confidence >= self.floor else UNKNOWN, confidence)
            for index, confidence in zip(best.tolist(), confidences, strict=True)
        ]

    def judge(self, defects: Sequence[Defect]) -> tuple[Verdict, str]:
        """Return the verdict and, for a reject, the labels that made it (in order of area)."""
        counts: dict[str, int] = {}
        for defect in defects:
            rule = self.rules[defect.label]
            if (
                rule.action == "reject"
                and defect.confidence >= rule.min_confidence
                and defect.area_px >= rule.min_area_px
            ):
                counts[defect.label] = counts.get(defect.label, 0) + 1
        rejecting = [label for label, count in counts.items() if count >= self.rules[label].min_count]
        return (Verdict.REJECT, ", ".join(rejecting)) if rejecting else (Verdict.ACCEPT, "")
