"""What station and archive process say to each other: the settings once, then a question and its answer. Pure."""

from typing import Final, TypeAlias

import msgspec
import numpy as np

from station.event import ServiceState

__all__ = ["MOST_BYTES", "Piece", "Report", "Settings", "Square", "decode_piece", "decode_report", "encode"]

MOST_BYTES: Final = 65_536
"""Of a question or an answer: few hundred bytes for a frame, few thousand where 32 regions are kept."""

Square: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a frame."""


class Settings(msgspec.Struct, frozen=True):
    """Where evidence is kept, and how much."""

    folder: str
    live_folder: str
    max_bytes: int
    max_age_ns: int
    frames_free_mb: int
    crops_free_mb: int


class Piece(msgspec.Struct, frozen=True):
    """A frame to show or to keep evidence of: its pixels lie in a slot, behind them its event as it was published."""

    slot: int
    shape: tuple[int, int]
    dtype: str
    frame: bool
    """Whether the whole frame is kept."""
    crops: dict[int, Square]
    """Which of the event's defects are kept, and what is cut out of the frame for each."""
    beyond: int
    """How many more there would have been."""
    taken_ns: int
    """When it was taken, UTC."""
    live: bool
    """Whether it is shown as its camera's newest."""
    event_bytes: int = 0

    @property
    def image_bytes(self) -> int:
        """Where its event begins."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize

    @property
    def kept(self) -> bool:
        """Whether it is evidence."""
        return self.frame or bool(self.crops)


class Report(msgspec.Struct, frozen=True):
    """What became of a piece, and how the archive is."""

    why_not: str
    """Why not all of the piece was kept: `disk` is low, `failed` to write, or nothing."""
    closed: bool
    """Nothing can be kept at present."""
    bytes: int
    """What all that is kept takes of the disk."""
    state: ServiceState
    told: tuple[tuple[ServiceState, str], ...]
    """What it got into since it was asked last, in order."""
    logged: tuple[tuple[int, str], ...]
    """Level and words of what it would have logged since."""


_encoder = msgspec.json.Encoder()
_pieces: msgspec.json.Decoder[Piece | None] = msgspec.json.Decoder(Piece | None)
_reports = msgspec.json.Decoder(Report)


def encode(message: Settings | Piece | Report | None) -> bytes:
    """Return `message` as bytes."""
    return _encoder.encode(message)


def decode_piece(content: bytes) -> Piece | None:
    """Return the piece to keep; None where only a report is asked for."""
    return _pieces.decode(content)


def decode_report(content: bytes) -> Report:
    """Return the report."""
    return _reports.decode(content)
