"""Between the inspect thread, which is never made to wait, and the process that keeps evidence of frames on disk."""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from engines.model import CropCut
from station.archive.handover import Piece, Report, Settings
from station.archive.live import LiveFolder
from station.archive.pace import Pace
from station.archive.process import KeepingProcess
from station.archive.selection import Choice, Selection
from station.archive.shelf import owned
from station.archive.slots import Slots
from station.clock import Clock
from station.config import ArchiveConfig
from station.crops import crop_square
from station.event import InspectionEvent, ServiceState, encode
from station.frame import Frame, Image

__all__ = ["Archive", "ArchiveFigures"]

logger = logging.getLogger(__name__)

_TURN_S, _IDLE_S = 0.03, 1.0
_AT_ONCE = 8
"""Frames that the process has been handed; they are lost when it dies."""
_SHOWN = Choice(frame=False, defects=())
_DRAIN_S = 5.0
"""With the few seconds that ending the process may take it is less than a thread has to end."""
_PUBLISH_NS = 200_000_000
"""How long evidence waits for its event to be published: both are the same bytes, and publishing comes first."""
_LIVE_AT_ONCE = 2
"""Frames on their way that are only shown; they have slots of their own, and take none that evidence needs."""


@dataclass(frozen=True, slots=True)
class ArchiveFigures:
    """What was kept since the start, what was not and why, and what all that is kept takes of the disk."""

    state: ServiceState
    kept: int
    dropped: dict[str, int]
    """`busy`: no slot was free; `disk`: little room; `failed`: could not be written. By frames."""
    bytes: int


@dataclass(frozen=True, slots=True)
class _Offer:
    """What the inspect thread hands over: an event, what to keep of it, and when."""

    event: InspectionEvent
    piece: Piece
    offered_ns: int


class Archive:
    """Runs in a `Worker`; its thread is woken as seldom as can be."""

    def __init__(
        self,
        folder: Path,
        live_folder: Path,
        config: ArchiveConfig,
        clock: Clock,
        tell: Callable[[ServiceState, str], None],
        chance: Random | None = None,
    ) -> None:
        """Keep evidence in `folder`, and in `live_folder` the newest picture of each camera.

        `tell` hears from the archive thread when it gets worse or well again; `chance` draws the audit share.
        """
        self._folder = folder
        self._clock = clock
        self._tell = tell
        self._selection = Selection(config, chance or Random())
        self._pace = Pace(config.live_hz)
        self._live = LiveFolder(live_folder)
        self._slot_count = config.queue_frames
        self._settings = Settings(
            str(folder),
            str(live_folder),
            config.max_mb * 10**6,
            round(config.max_age_days * 86_400 * 1e9),
            config.frames_free_mb,
            config.crops_free_mb,
        )
        self._slots: Slots
        self._waiting: deque[_Offer] = deque()
        self._asked: deque[Piece | None] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._end_ns = 0
        self._refusal = ""
        self._state: ServiceState = "online"
        self._bytes = 0
        self._kept = 0
        self._dropped: Counter[str] = Counter()

    def offer(self, frame: Frame, event: InspectionEvent, cut: CropCut) -> None:
        """Copy `frame` if it is worth keeping and there is room for it, else count why not; or if it is to be shown.

        Inspect thread. `cut` is how the model's crops were cut. `event` has its number and is read later on.
        """
        choice, now_ns = self._selection.choose(event), self._clock.tick_ns()
        if choice is not None and self._refusal:
            self._drop(self._refusal)
            choice = None
        live = self._refusal != "failed" and self._pace.is_due(event.camera, now_ns)
        if choice is None and not live:
            return
        slot = self._slots.put(frame.image, spare=choice is None)
        if slot is None:
            if choice is not None:
                self._drop("busy")
            if live:
                self._pace.wait(event.camera)
            return
        if live:
            self._pace.note(event.camera, now_ns)
        piece = _describe(slot, frame.image, event, choice or _SHOWN, cut, self._clock.utc_ns(), live)
        with self._changed:
            self._waiting.append(_Offer(event, piece, now_ns))
            if len(self._waiting) == 1 and not self._asked:
                self._changed.notify()

    def run(self, ready: Callable[[], None]) -> None:
        """Have kept what is offered until stopped, and all of it then, as far as there is time."""
        with (
            owned(self._folder),
            Slots(self._slot_count, _LIVE_AT_ONCE) as self._slots,
            self._live,
            KeepingProcess(self._settings, self._slots.memory, self._clock, self._is_late) as process,
        ):
            ready()
            idle = True
            while self._waiting or self._asked or not self._closed:
                if self._runs(process):
                    self._take_turn(process, idle)
                elif self._closed:
                    break
                idle = self._rest()
        if left := sum(offer.piece.kept for offer in self._waiting):
            self._drop("failed", left)
            logger.warning("archive: %d frames were not kept: there was no time left to", left)

    def stop(self) -> None:
        """Let the thread end when all that waits is kept, or can't be kept in some seconds. Any thread."""
        with self._changed:
            self._closed = True
            self._end_ns = self._clock.tick_ns() + round(_DRAIN_S * 1e9)
            self._changed.notify()

    def figures(self) -> ArchiveFigures:
        """Return what it has done so far. Any thread."""
        return ArchiveFigures(self._state, self._kept, dict(self._dropped), self._bytes)

    def _is_late(self) -> bool:
        return self._closed and self._clock.tick_ns() > self._end_ns

    def _rest(self) -> bool:
        """Wait for the next turn, or, with nothing to do, for what is offered; return whether nothing was for long."""
        with self._changed:
            if self._waiting or self._asked:
                self._changed.wait(_TURN_S)
                return False
            return not self._closed and not self._changed.wait(_IDLE_S)

    def _runs(self, process: KeepingProcess) -> bool:
        try:
            return process.revive()
        except OSError as fault:
            self._lose(f"can't be started: {fault.strerror}")
            return False

    def _take_turn(self, process: KeepingProcess, idle: bool) -> None:
        """Hear what became of what was handed over, and hand over what waits and is published.

        With nothing to do for long, which is `idle`, the process is asked how the archive is.
        """
        try:
            for report in process.hear():
                self._note(report)
                self._settle(self._asked.popleft(), report.why_not)
            while self._waiting and len(self._asked) < _AT_ONCE and self._is_published(self._waiting[0]):
                self._ask(process, self._add_event(self._waiting.popleft()))
            if idle and not self._asked:
                self._ask(process, None)
        except ConnectionError as fault:
            self._lose(str(fault))

    def _is_published(self, offer: _Offer) -> bool:
        """Whether it is; one that a full outbox dropped never will be, and is kept without a stamp."""
        return bool(offer.event.published_ns) or self._clock.tick_ns() - offer.offered_ns > _PUBLISH_NS

    def _add_event(self, offer: _Offer) -> Piece:
        """Put the event behind its picture, as it was published."""
        published = encode(offer.event)
        self._slots.add(offer.piece.slot, offer.piece.image_bytes, published)
        return msgspec.structs.replace(offer.piece, event_bytes=len(published))

    def _ask(self, process: KeepingProcess, piece: Piece | None) -> None:
        self._asked.append(piece)
        process.ask(piece)

    def _settle(self, piece: Piece | None, why_not: str) -> None:
        """Count what became of `piece`."""
        if piece is None:
            return
        self._slots.free(piece.slot)
        if not piece.kept:
            return
        if why_not:
            self._drop(why_not)
        else:
            self._kept += 1

    def _note(self, report: Report) -> None:
        """Take over how the archive is, tell what is new of it, and log what it has to say."""
        if self._refusal == "failed" and report.state == "online":
            self._tell("online", "evidence is kept again")
            logger.info("archive: evidence is kept again")
        for level, words in report.logged:
            logger.log(level, "%s", words)
        for state, words in report.told:
            self._tell(state, words)
        self._refusal = "disk" if report.closed else ""
        self._state, self._bytes = report.state, report.bytes

    def _lose(self, how: str) -> None:
        """Note that the process is gone; what it had is lost, and nothing is taken before it is back."""
        lost = sum(piece is not None and piece.kept for piece in self._asked)
        while self._asked:
            self._settle(self._asked.popleft(), "failed")
        if self._refusal != "failed":
            self._refusal, self._state = "failed", "offline"
            words = f"nothing is kept: the archive's process {how}; frames that it had: {lost}"
            logger.error("archive: %s", words)
            self._tell("offline", words)

    def _drop(self, why: str, count: int = 1) -> None:
        with self._changed:
            self._dropped[why] += count


def _describe(
    slot: int, image: Image, event: InspectionEvent, choice: Choice, cut: CropCut, taken_ns: int, live: bool
) -> Piece:
    height, width = image.shape
    crops = {number: crop_square(event.defects[number].box_px, cut, width, height) for number in choice.defects}
    return Piece(slot, image.shape, image.dtype.name, choice.frame, crops, choice.beyond, taken_ns, live)
