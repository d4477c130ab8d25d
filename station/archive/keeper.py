"""Makes evidence of a frame: encodes what is kept of it, writes it and enters it into the holdings. Archive thread."""

import time
from dataclasses import dataclass

from engines.model import CropCut
from station.archive.evidence import RECORD, Evidence, Picture, encode, minute_of, name_of
from station.archive.guard import DiskGuard, Room
from station.archive.holdings import Holdings
from station.archive.pictures import encode_crop, encode_frame
from station.archive.selection import Choice
from station.archive.shelf import entry_of, put_away
from station.event import InspectionEvent
from station.frame import Image

__all__ = ["Keeper", "Piece"]

_PUBLISH_TRIES, _PUBLISH_S = 20, 0.01
"""How long evidence waits for its event to be published: both are the same bytes, and publishing comes first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What the inspect thread hands over: an event, its picture, what to keep of it, and when it was taken (UTC)."""

    event: InspectionEvent
    image: Image
    choice: Choice
    cut: CropCut
    """As the model cuts its crops."""
    taken_ns: int


class Keeper:
    """Writes into `holdings` as far as `guard` allows."""

    def __init__(self, holdings: Holdings, guard: DiskGuard) -> None:
        self._holdings = holdings
        self._guard = guard

    def keep(self, piece: Piece) -> str:
        """Keep `piece`; return why not all of it was kept: `disk` is low, `failed` to write, or nothing."""
        _wait_until_published(piece.event)
        room = self._guard.room
        whole = piece.choice.frame and room is Room.ALL
        if room is Room.NOTHING or not (whole or piece.choice.defects):
            return "disk"
        pictures = self._encode(piece, whole)
        evidence = self._describe(piece, tuple(pictures), whole)
        files = {picture.file: content for picture, content in pictures.items()} | {RECORD: encode(evidence)}
        minute, name = minute_of(piece.taken_ns, piece.event.camera), name_of(piece.event)
        try:
            put_away(self._holdings.folder, f"{minute}/{name}", files)
        except OSError as error:
            self._guard.fail(error)
            return "failed"
        self._guard.succeed()
        self._holdings.enter(entry_of(evidence, minute, name, {file: len(content) for file, content in files.items()}))
        return "disk" if whole != piece.choice.frame else ""

    def _encode(self, piece: Piece, whole: bool) -> dict[Picture, bytes]:
        defects = piece.event.defects
        crops = (encode_crop(piece.image, number, defects[number].box_px, piece.cut) for number in piece.choice.defects)
        return dict(crops) | (dict([encode_frame(piece.image)]) if whole else {})

    def _describe(self, piece: Piece, pictures: tuple[Picture, ...], whole: bool) -> Evidence:
        event, choice = piece.event, piece.choice
        labels = [event.defects[number].label for number in choice.defects]
        left_out = [f"{choice.beyond} more regions: too many"] * bool(choice.beyond)
        left_out += ["the whole frame: little room on the disk"] * (choice.frame and not whole)
        return Evidence(
            event,
            pictures,
            self._holdings.scarcest(labels) if labels else event.verdict,
            self._holdings.now_ns(),
            tuple(left_out),
        )


def _wait_until_published(event: InspectionEvent) -> None:
    """Wait for the publish thread to stamp `event`; one that it was too full to take is kept without a stamp."""
    for _ in range(_PUBLISH_TRIES):
        if event.published_ns:
            return
        time.sleep(_PUBLISH_S)
