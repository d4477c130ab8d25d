"""From a station's messages to the strip map's tables: each once, whatever ends meanwhile. The follower's thread."""

import math
import sqlite3
from datetime import UTC, datetime
from typing import Final

import msgspec

from station.client import Gap, Item, Renumbered
from station.console.strip.ledger import StripLedger
from station.console.strip.progress import CameraProgress, Pass, Progress, load_progress, save_progress
from station.coverage import OFFLINE, RESTART, UNHEARD
from station.event import CoverageEvent, InspectionEvent, Numbered, StateEvent

__all__ = ["Intake"]

_HOUR_NS: Final = 3600 * 10**9
_FARTHEST_MM: Final = 1e12
_MOST_ROWS: Final = 2**31


class Intake:
    """Takes items in their order, in one transaction from `__init__` to `save`; what was taken before is left out."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.progress: Progress = load_progress(connection)
        self._connection = connection
        self._ledger = StripLedger(connection)

    def take(self, item: Item, journal: str) -> None:
        """Take what a client yielded; `journal` is the one that its number counts in."""
        if isinstance(item, Renumbered):
            self._end_all()
            self.progress = Progress()
        elif isinstance(item, Gap):
            self._miss(item)
        elif isinstance(item, Numbered) and self.progress.last < item.event < 2**63:
            self.progress.journal, self.progress.last = journal, item.event
            if isinstance(item, InspectionEvent | StateEvent | CoverageEvent):
                self._follow_run(item.origin.run)
                self._take_message(item)

    def save(self) -> None:
        """Write the rows, and how far they reach."""
        for name, camera in self.progress.cameras.items():
            for way in filter(None, (camera.before, camera.here)):
                self._ledger.note_pass(name, way)
        self._ledger.write()
        save_progress(self._connection, self.progress)

    def _take_message(self, message: InspectionEvent | StateEvent | CoverageEvent) -> None:
        camera = self.progress.cameras.setdefault(message.camera, CameraProgress())
        match message:
            case InspectionEvent():
                self._take_frame(camera, message)
            case CoverageEvent():
                self._take_span(camera, message)
            case StateEvent():
                self._take_state(camera, message)

    def _miss(self, gap: Gap) -> None:
        """Note on every coil that runs that messages of it are lost."""
        if gap.last <= self.progress.last:
            return
        running = {camera.here.coil for camera in self.progress.cameras.values() if camera.here}
        for coil in running:
            self._ledger.coil(coil).unheard += gap.last - gap.first + 1
        self.progress.last = gap.last

    def _follow_run(self, run: str) -> None:
        """Let every coil go on where the station was started anew; what went by meanwhile was not inspected."""
        before, self.progress.run = self.progress.run, run
        if before in ("", run):
            return
        for name, camera in self.progress.cameras.items():
            self._end(name, camera.before)
            self._end(name, camera.here)
            camera.before, camera.placed = None, False
            if camera.here is not None:
                camera.here.unnamed, camera.here.reason = True, RESTART
                camera.here.bridge.begin_run()

    def _end_all(self) -> None:
        for name, camera in self.progress.cameras.items():
            self._end(name, camera.before)
            self._end(name, camera.here)

    def _end(self, name: str, way: Pass | None) -> None:
        """Settle what a camera has seen of a coil, and keep that."""
        if way is not None:
            self._settle(name, way, way.reached)
            self._ledger.note_pass(name, way)

    def _settle(self, name: str, way: Pass, end: float) -> None:
        """Settle all before `end`, by the reason that holds."""
        if way.reason:
            self._ledger.add_stretch(name, way, way.told, end, way.reason)
        way.told = max(way.told, end)

    def _take_frame(self, camera: CameraProgress, event: InspectionEvent) -> None:
        event, way = self._place(camera, _believed(event))
        at = _at(way, event)
        if at is not None:
            self._reach(way, event, at)
        if event.size_px is not None:
            way.width_px = max(way.width_px, event.size_px[0])
        if way.mm_per_px is None:
            scales = (one.box_mm[2] / one.box_px[2] for one in event.defects if one.box_mm and one.box_px[2] > 0)
            way.mm_per_px = next(scales, None)
        self._ledger.add_frame(way, event, at)

    def _place(self, camera: CameraProgress, event: InspectionEvent) -> tuple[InspectionEvent, Pass]:
        """Return the frame in its coil's own millimetres, and the camera's way over it."""
        position, here = event.position, camera.here
        if position is None:
            lost = camera.placed and here is not None
            return event, here if lost and here is not None else self._enter_hour(camera, event)
        camera.placed = True
        if here is None or here.unit != "mm" or not _is_named(here, position.coil):
            way = self._enter(camera, event, Pass(0, position.coil, "mm", 0.0, 0.0))
            return way.bridge.carry(event, position, way.name) or event, way
        carried = here.bridge.carry(event, position, here.name)
        if carried is None or carried.position is None:  # nothing tells how far the strip went
            way = self._enter(camera, event, Pass(0, here.name, "mm", 0.0, 0.0, unnamed=here.unnamed))
            return way.bridge.carry(event, position, way.name) or event, way
        if self._ledger.coil(here.coil).is_full:
            at, bridge = max(carried.position.mm, here.reached), here.bridge
            return carried, self._enter(
                camera, event, Pass(0, here.name, "mm", at, at, bridge=bridge, unnamed=here.unnamed)
            )
        return carried, here

    def _enter_hour(self, camera: CameraProgress, event: InspectionEvent) -> Pass:
        """Return the way over the hour of a frame without a position."""
        hour_ns, here = event.captured_ns // _HOUR_NS * _HOUR_NS, camera.here
        name = f"{datetime.fromtimestamp(hour_ns / 1e9, UTC):%Y-%m-%d %H:00}"
        if here is not None and here.unit == "ms" and name <= here.name:
            if not self._ledger.coil(here.coil).is_full:
                return here
            name, hour_ns = here.name, here.zero_ns
        at = (event.captured_ns - hour_ns) / 1e6
        return self._enter(camera, event, Pass(0, name, "ms", at, at, zero_ns=hour_ns))

    def _enter(self, camera: CameraProgress, event: InspectionEvent, way: Pass) -> Pass:
        """Let the camera go on over another coil, or another part of its own."""
        self._end(event.camera, camera.before)
        camera.before = camera.here
        if camera.before is not None and camera.before.unit == "ms":
            self._end(event.camera, camera.before)
        coil = self._ledger.open_coil(self.progress.journal, way.name, way.unit, way.told, event)
        way.coil = coil.id
        camera.here = way
        return way

    def _reach(self, way: Pass, event: InspectionEvent, at: float) -> None:
        """Note how far the camera has seen, and whether that counts as inspected."""
        reason = event.reason if event.verdict == "invalid" else ""
        if way.reason == RESTART or (way.unit == "ms" and way.reason != reason):
            self._settle(event.camera, way, at)
            way.reason = reason
        end = at + _length_mm(way, event)
        if end > way.reached:
            way.reached, way.reason = end, reason

    def _take_span(self, camera: CameraProgress, event: CoverageEvent) -> None:
        """Take what the station has settled; on a coil of several parts each takes what is its own."""
        here, before = camera.here, camera.before
        for way in filter(None, (before, here)):
            if way.unit != "mm" or not _is_named(way, event.coil):
                continue
            ends_before = way is before and here is not None and here.name == way.name
            limit = way.reached if ends_before else math.inf
            begin = max(event.start_mm + way.bridge.shift_mm, way.told)
            end = min(event.end_mm + way.bridge.shift_mm, limit)
            if end <= begin:
                continue
            self._ledger.add_stretch(event.camera, way, way.told, begin, UNHEARD)
            if event.reason:
                self._ledger.add_stretch(event.camera, way, begin, end, event.reason)
            way.told, way.reached = end, max(way.reached, end)
            coil = self._ledger.coil(way.coil)
            coil.end, coil.last_event = max(coil.end, end), event.event

    def _take_state(self, camera: CameraProgress, event: StateEvent) -> None:
        """Note from when on a camera is away, where frames have no position; else the station tells the stretch."""
        way = camera.here
        if way is None or way.unit != "ms" or event.state != "offline":
            return
        self._end(event.camera, way)
        way.reason = OFFLINE


def _believed(event: InspectionEvent) -> InspectionEvent:
    """Return `event` without a position that no strip can have, at a time that has a date."""
    position = event.position
    if position is not None and (
        abs(position.mm) > _FARTHEST_MM or abs(position.count or 0) >= 2**63 or abs(_signed_mm(event)) > _FARTHEST_MM
    ):
        event = msgspec.structs.replace(event, position=None)
    if not 0 <= event.captured_ns < 2**63:
        event = msgspec.structs.replace(event, captured_ns=min(max(event.captured_ns, 0), 2**63 - 1))
    return event


def _is_named(way: Pass, coil: str) -> bool:
    return coil == way.name or (way.unnamed and coil == "")


def _at(way: Pass, event: InspectionEvent) -> float | None:
    """Return where a frame begins: its upper millimetre, or how long after the begin of its hour it was taken."""
    if way.unit == "ms":
        return (event.captured_ns - way.zero_ns) / 1e6
    if event.position is None:
        return None
    return event.position.mm + min(_signed_mm(event), 0.0)


def _length_mm(way: Pass, event: InspectionEvent) -> float:
    return abs(_signed_mm(event)) if way.unit == "mm" else 0.0


def _signed_mm(event: InspectionEvent) -> float:
    """Return what a frame shows along the strip; negative where lower rows passed earlier."""
    position = event.position
    if position is None or position.pitch_mm is None or event.size_px is None:
        return 0.0
    return position.pitch_mm * min(event.size_px[1], _MOST_ROWS)
