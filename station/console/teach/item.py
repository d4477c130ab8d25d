"""What somebody can look through: a region or a whole frame of the archive, or a picture sent from Try. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Literal, TypeAlias
from zlib import crc32

import msgspec

from engines.model import UNKNOWN
from station.archive.evidence import Evidence, Picture
from station.config.teach import TeachConfig

__all__ = ["Box", "Item", "Reason", "Source", "group_of", "items_of", "ranked"]

Box: TypeAlias = tuple[int, int, int, int]
"""x, y, width and height in pixels of the frame."""
Reason: TypeAlias = Literal["sent", "unknown", "shadow", "doubtful", "empty", "rejected", "audit"]
"""Why a picture is worth a look, the most useful first."""

_WORTH: Final[dict[Reason, float]] = {
    "sent": 6.0, "unknown": 5.0, "shadow": 4.0, "doubtful": 3.0, "empty": 2.0, "rejected": 1.0, "audit": 0.0,
}  # fmt: skip
_BETWEEN_AUDITS: Final = 9
"""So many other pictures come between two of the audit share: it is seen however much else there is."""


class Source(msgspec.Struct, frozen=True):
    """Where a picture came from and what the model thought of it; kept with every decision."""

    camera: str = ""
    event: int = 0
    run: str = ""
    captured_ns: int = 0
    coil: str = ""
    part: str = ""
    verdict: str = ""
    model: str = ""
    label: str = ""
    """What the model called it; empty for a picture without a region."""
    confidence: float = 0.0
    novelty: float | None = None
    region_px: Box | None = None
    """The region's box as the event has it."""
    size_px: tuple[int, int] = (0, 0)
    """Width and height of the frame."""
    name: str = ""
    """Of a picture that somebody sent."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture to decide on. `crop` and `frame` are files of the evidence in `place`; a sent picture has none."""

    id: str
    reason: Reason
    source: Source
    place: str = ""
    crop: Picture | None = None
    frame: Picture | None = None

    @property
    def is_region(self) -> bool:
        """Whether it is about one region, and not about all of a picture."""
        return self.source.region_px is not None

    @property
    def worth(self) -> float:
        """How useful it is to look at: the reason first, then how unsure the model was."""
        return _WORTH[self.reason] + (0.999 * (1 - self.source.confidence) if self.is_region else 0.0)


def items_of(evidence: Evidence, place: str, config: TeachConfig, otherwise: frozenset[str]) -> list[Item]:
    """Return what of a piece of evidence is worth a look; `otherwise` are those that a new model names differently."""
    event, name = evidence.event, place.rpartition("/")[2]
    frame = next((picture for picture in evidence.pictures if picture.defect is None), None)
    if not event.defects:
        return [] if frame is None else [Item(f"{name}.frame", "empty", _source(evidence, None), place, None, frame)]
    found = []
    for picture in evidence.pictures:
        if picture.defect is not None:
            item, source = f"{name}.{picture.defect}", _source(evidence, picture.defect)
            if reason := _reason(item, source, config, otherwise):
                found.append(Item(item, reason, source, place, picture, frame))
    return found


def ranked(items: Iterable[Item]) -> list[Item]:
    """Return items in the order to ask about them: by worth, the newest first, an audit after every nine others."""
    order = sorted(items, key=lambda item: (-item.worth, -item.source.captured_ns, item.id))
    others = iter([item for item in order if item.reason != "audit"])
    mixed: list[Item] = []
    for audit in (item for item in order if item.reason == "audit"):
        mixed += islice(others, _BETWEEN_AUDITS)
        mixed.append(audit)
    return [*mixed, *others]


def group_of(source: Source) -> str:
    """Return what must stay on one side of a split: coil, else part, else the camera's minute; letters and digits."""
    if source.name:
        words: Sequence[str] = ("sent", source.name)
    elif source.coil or source.part:
        words = ("coil", source.coil) if source.coil else ("part", source.part)
    else:
        taken = datetime.fromtimestamp(source.captured_ns / 1e9, UTC)
        words = (source.camera, f"{taken:%Y%m%d_%H%M}")
    return re.sub(r"[^A-Za-z0-9_.]", "_", "_".join(words))


def _reason(item: str, source: Source, config: TeachConfig, otherwise: frozenset[str]) -> Reason | None:
    if source.label == UNKNOWN:
        return "unknown"
    if item in otherwise:
        return "shadow"
    if source.confidence < config.low_confidence:
        return "doubtful"
    if source.verdict != "accept":
        return "rejected"
    chosen = crc32(item.encode()) < config.audit_share * 2**32  # by its name: the same ones at every start
    return "audit" if chosen else None


def _source(evidence: Evidence, number: int | None) -> Source:
    event = evidence.event
    known = Source(
        camera=event.camera,
        event=event.event,
        run=event.origin.run,
        captured_ns=event.captured_ns,
        coil=event.position.coil if event.position else "",
        part=event.part,
        verdict=event.verdict,
        model=event.origin.model,
        size_px=event.size_px or (0, 0),
    )
    if number is None:
        return known
    defect = event.defects[number]
    return msgspec.structs.replace(
        known, label=defect.label, confidence=defect.confidence, novelty=defect.novelty, region_px=defect.box_px
    )
