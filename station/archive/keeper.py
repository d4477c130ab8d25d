"""Makes evidence of a frame, or its camera's newest picture: encodes, writes, and enters evidence into the holdings.

Archive process.
"""

import msgspec
import numpy as np

from station.archive.evidence import RECORD, Evidence, Picture, encode, minute_of, name_of
from station.archive.guard import DiskGuard, Room
from station.archive.handover import Piece
from station.archive.holdings import Holdings
from station.archive.live import LiveFolder
from station.archive.pictures import encode_crop, encode_frame, encode_live
from station.archive.shelf import entry_of, put_away
from station.archive.slots import read_slot
from station.event import InspectionEvent
from station.frame import Image

__all__ = ["Keeper"]

_events = msgspec.json.Decoder(InspectionEvent)


class Keeper:
    """Writes what lies in the slots of `memory` into `live`, and into `holdings` as far as `guard` allows."""

    def __init__(self, memory: int, live: LiveFolder, holdings: Holdings, guard: DiskGuard) -> None:
        self._memory = memory
        self._live = live
        self._holdings = holdings
        self._guard = guard

    def take(self, piece: Piece) -> str:
        """Show and keep `piece`; return why not all was kept that is evidence: `disk` is low, `failed`, or nothing."""
        image, published = self._read(piece)
        event = _events.decode(published)
        if piece.live:
            self._live.put(event.camera, published, encode_live(image))
        return self._keep(piece, image, published, event) if piece.kept else ""

    def _keep(self, piece: Piece, image: Image, published: bytes, event: InspectionEvent) -> str:
        room = self._guard.room
        whole = piece.frame and room is Room.ALL
        if room is Room.NOTHING or not (whole or piece.crops):
            return "disk"
        pictures = dict(encode_crop(image, defect, square) for defect, square in piece.crops.items())
        if whole:
            pictures |= dict([encode_frame(image)])
        evidence = self._describe(piece, event, tuple(pictures), whole)
        files = {picture.file: content for picture, content in pictures.items()} | {RECORD: encode(evidence, published)}
        minute, name = minute_of(piece.taken_ns, event.camera), name_of(event)
        try:
            put_away(self._holdings.folder, f"{minute}/{name}", files)
        except OSError as error:
            self._guard.fail(error)
            return "failed"
        self._guard.succeed()
        self._holdings.enter(entry_of(evidence, minute, name, {file: len(content) for file, content in files.items()}))
        return "disk" if whole != piece.frame else ""

    def _read(self, piece: Piece) -> tuple[Image, bytes]:
        """Return the image, and the event as it was published."""
        content = read_slot(self._memory, piece.slot, 0, piece.image_bytes)
        published = read_slot(self._memory, piece.slot, piece.image_bytes, piece.event_bytes)
        return np.frombuffer(content, piece.dtype).reshape(piece.shape), published

    def _describe(self, piece: Piece, event: InspectionEvent, pictures: tuple[Picture, ...], whole: bool) -> Evidence:
        labels = [event.defects[number].label for number in piece.crops]
        left_out = [f"{piece.beyond} more regions: too many"] * bool(piece.beyond)
        left_out += ["the whole frame: little room on the disk"] * (piece.frame and not whole)
        return Evidence(
            event,
            pictures,
            self._holdings.scarcest(labels) if labels else event.verdict,
            self._holdings.now_ns(),
            tuple(left_out),
        )
