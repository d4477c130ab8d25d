"""What is worth keeping of a frame: by its verdict, its labels, and by chance. Pure; called from the inspect thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from engines.model import UNKNOWN
from shadowline.errors import ConfigError
from station.config import ArchiveConfig
from station.event import DefectRecord, InspectionEvent

__all__ = ["Choice", "Selection", "refuse_strangers"]

_MOST_CROPS = 32


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether the whole frame is kept, which of the event's defects, and how many more there would have been."""

    frame: bool
    defects: tuple[int, ...]
    beyond: int = 0


def refuse_strangers(config: ArchiveConfig, labels: Sequence[str]) -> None:
    """Raise `ConfigError` where regions are to be kept of a label that the model, which has `labels`, never gives."""
    if strangers := set(config.labels) - {*labels, UNKNOWN}:
        raise ConfigError(
            f"[archive] labels {', '.join(sorted(strangers))}: not a label of the model ({', '.join(labels)})"
        )


class Selection:
    """The rules of one configuration; `chance` draws the audit share."""

    def __init__(self, config: ArchiveConfig, chance: Random) -> None:
        self._frames = config.frames
        self._labels = frozenset(config.labels)
        self._audit_share = config.audit_share
        self._chance = chance

    def choose(self, event: InspectionEvent) -> Choice | None:
        """Return what to keep of `event`, of its regions the largest 32; None where that is nothing."""
        passes = event.verdict == "accept"
        frame = self._frames == "all" or (self._frames == "reject" and not passes)
        wanted = [number for number, one in enumerate(event.defects) if not passes or self._wants(one)]
        if not frame and not wanted:
            return None
        return Choice(frame, tuple(wanted[:_MOST_CROPS]), max(len(wanted) - _MOST_CROPS, 0))

    def _wants(self, defect: DefectRecord) -> bool:
        return defect.label in self._labels or self._chance.random() < self._audit_share
