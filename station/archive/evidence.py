"""Evidence of one frame: its event, the pictures kept of it, where they lie, and their JSON. Pure.

2026-11-21/top/1405/000000012345-1a2b3c4d5e6f/    day, camera, hour and minute (UTC), number of the event and run
    event.json                                    `Evidence`: written last, so where it is the rest is too
    frame.jpg, crop-000.png, crop-002.png         the whole frame; the region of the event's defect 0, 2
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from station.event import InspectionEvent

__all__ = [
    "CAMERA",
    "DAY",
    "MINUTE",
    "NAME",
    "OWN_FILE",
    "RECORD",
    "Evidence",
    "Picture",
    "decode",
    "encode",
    "minute_of",
    "name_of",
]

RECORD: Final = "event.json"
DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
CAMERA: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
MINUTE: Final = re.compile(r"\d{4}")
NAME: Final = re.compile(r"(\d{12,18})-[0-9a-f]{12}")
OWN_FILE: Final = re.compile(r"event\.json|frame\.jpg|crop-\d{3,6}\.png")


class Picture(msgspec.Struct, frozen=True):
    """A file beside the JSON: what of the frame it shows, and what it must be like."""

    file: Annotated[str, msgspec.Meta(pattern=r"^(frame\.jpg|crop-\d{3,6}\.png)\Z")]
    box_px: tuple[int, int, int, int]
    """x, y, width and height of what it shows, in pixels of the frame."""
    scale: Annotated[int, msgspec.Meta(ge=1)]
    """Each pixel is the mean of so many by so many of the frame; 1 is the frame's own."""
    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str
    defect: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Which of the event's defects it shows, from 0; null for the whole frame."""


class Evidence(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.evidence/1"):
    """The event as it was published, and the pictures that were kept."""

    event: InspectionEvent
    pictures: tuple[Picture, ...]
    counts_as: str
    """The label that this takes room of: of those shown the one that had taken least; without any, the verdict."""
    kept_ns: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    """When it was kept, on the archive's own clock, which ages are counted on."""
    left_out: tuple[str, ...] = ()
    """What should have been kept as well, and why it was not."""

    def __post_init__(self) -> None:
        for picture in self.pictures:
            if picture.defect is not None and picture.defect >= len(self.event.defects):
                raise ValueError(f"{picture.file}: the event has no defect {picture.defect}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the regions that are shown, each once, the largest region's first."""
        shown = [picture.defect for picture in self.pictures if picture.defect is not None]
        return tuple(dict.fromkeys(self.event.defects[number].label for number in shown))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Evidence)


def encode(evidence: Evidence, published: bytes) -> bytes:
    """Return `evidence` as UTF-8 JSON, of its event the very bytes that were `published`."""
    fields = msgspec.structs.asdict(evidence) | {"event": msgspec.Raw(published)}
    return _encoder.encode({"schema": Evidence.__struct_config__.tag} | fields)


def decode(content: bytes) -> Evidence:
    """Return the evidence in `content`; raises `msgspec.DecodeError` on anything else."""
    return _decoder.decode(content)


def name_of(event: InspectionEvent) -> str:
    """Return the name of the folder of `event`: unique, also where numbers begin anew at each start."""
    return f"{event.event:012d}-{event.origin.run}"


def minute_of(taken_ns: int, camera: str) -> str:
    """Return the folder below the archive for what `camera` took then, by the host's UTC.

    A minute holds 3600 frames at 60 Hz, and a day 1440 minutes: no folder grows large.
    """
    taken = datetime.fromtimestamp(taken_ns / 1e9, UTC)
    return f"{taken:%Y-%m-%d}/{camera}/{taken:%H%M}"
