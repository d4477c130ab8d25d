"""What the messages of a station say about one coil, camera by camera. Pure."""

from collections import Counter
from dataclasses import dataclass, field, replace

from station.coverage import GAP, NO_POSITION, OFFLINE, Coverage, Span
from station.event import CoverageEvent, DefectRecord, Heartbeat, InspectionEvent, Message, Numbered, StateEvent
from station.report.bridge import Bridge

__all__ = ["CameraRecord", "CoilRecord", "PlacedDefect"]


_ORIGINS = ("station", "run", "model", "config", "calibration", "recipe")


@dataclass(frozen=True, slots=True)
class PlacedDefect:
    """A defect and the frame that shows it."""

    camera: str
    sequence: int
    captured_ns: int
    model: str
    part: str
    seen_before: bool
    """The strip had gone back: this was in a frame before."""
    defect: DefectRecord

    @property
    def counts(self) -> bool:
        """Whether it is told here for the first time."""
        return not self.defect.goes_on and not self.seen_before


class CameraRecord:
    """What one camera said of the coil."""

    def __init__(self, coil: str, reach_mm: float) -> None:
        self.spans: list[Span] = []
        self.defects: list[PlacedDefect] = []
        self.outages: list[StateEvent] = []
        self.verdicts: Counter[str] = Counter()
        self.parts: dict[str, Counter[str]] = {}
        """Verdicts of each part's frames, where frames name one."""
        self.invalid: Counter[str] = Counter()
        self.late = 0
        self.seen_before = 0
        self.worst_latency_ms = 0.0
        self.width_px = 0
        self.here = False
        """The last frame with a position was of this coil."""
        self.away = False
        self.gone = False
        """It has shown the coil, and shows another one now or has come to its end."""
        self._coil = coil
        self._told: list[Span] = []
        self._coverage = Coverage(reach_mm)
        self._bridge = Bridge()
        self._names = {coil}
        """What the station may call the coil: after a restart nothing at first."""

    def begin_run(self) -> None:
        """Note that the station was started anew: it knows neither coil nor zero until it is told."""
        self._coverage.begin_run()
        self.away = False
        if self.here:
            self.gone = False
            self._told = [replace(span, ends_coil=False) for span in self._told]
            self._names = {self._coil, ""}
            self._bridge.begin_run()

    def carry(self, event: InspectionEvent) -> InspectionEvent | None:
        """Return `event` in the millimetres that the coil began with; None where nothing tells where it lies."""
        if event.position is None or event.position.coil not in self._names:
            return event
        return self._bridge.carry(event, event.position, self._coil)

    def take(self, event: InspectionEvent) -> bool:
        """Note a frame; frames without a position belong to the coil of the one before. Return whether it was noted."""
        self.spans += [span for span in self._coverage.take(event) if span.coil == self._coil]
        if event.position is not None:
            was_here, self.here = self.here, event.position.coil == self._coil
            self.gone = not self.here and (self.gone or was_here)
        if self.here:
            self._count(event)
        return self.here

    def note_state(self, event: StateEvent) -> None:
        """Note a state of the camera, and its outage where that was in this coil."""
        self._coverage.note_state(event)
        self.away = event.state in ("offline", "ended")
        self.gone |= self.here and event.state == "ended"
        if event.outage is not None and self.here:
            self.outages.append(event)

    def note_span(self, event: CoverageEvent) -> None:
        """Note a stretch that the station has settled, which knew more than frames tell: how long the coil was.

        After a restart it is told from another zero, and left to the frames.
        """
        if event.coil == self._coil and "" not in self._names:
            self._told.append(Span(event.coil, event.start_mm, event.end_mm, event.reason, event.ends_coil))

    @property
    def reached_mm(self) -> float:
        """How far the camera has seen the coil."""
        if self._told and self._told[-1].ends_coil:
            return self._told[-1].end_mm
        return max([self._coverage.reached_mm if self.here else 0.0, *(span.end_mm for span in self.spans)])

    def spans_of(self, length_mm: float) -> list[Span]:
        """Return the spans from 0 to the end of the coil; nothing may be noted thereafter."""
        if self.here:
            self.spans += [span for span in self._coverage.close(length_mm) if span.coil == self._coil]
        told_mm = self._told[-1].end_mm if self._told else 0.0
        beyond = [replace(span, start_mm=max(span.start_mm, told_mm)) for span in self.spans if span.end_mm > told_mm]
        self.spans = [*self._told, *(beyond if told_mm < length_mm else ())]
        self._told.clear()
        end_mm = self.spans[-1].end_mm if self.spans else 0.0
        if end_mm < length_mm:
            reason = OFFLINE if self.away else NO_POSITION if self.verdicts and not self.spans else GAP
            self.spans.append(Span(self._coil, end_mm, length_mm, reason, True))
        return self.spans

    def _count(self, event: InspectionEvent) -> None:
        before = event.position is not None and event.position.reversed
        self.verdicts[event.verdict] += 1
        if event.part:
            self.parts.setdefault(event.part, Counter())[event.verdict] += 1
        self.seen_before += before
        if event.verdict == "invalid":
            self.invalid[event.reason] += 1
        self.late += event.late
        self.worst_latency_ms = max(self.worst_latency_ms, event.latency_ms)
        if event.size_px is not None:
            self.width_px = event.size_px[0]
        about = (event.camera, event.sequence, event.captured_ns, event.origin.model, event.part, before)
        self.defects += [PlacedDefect(*about, defect) for defect in event.defects]


@dataclass
class CoilRecord:
    """Takes a station's messages in their order and keeps what concerns one coil.

    Where numbers go on over a restart of the station, as with a journal, so does the coil; where they begin anew, or
    nothing tells how far the strip went meanwhile, what was before the last restart is left out.
    """

    coil: str
    reaches_mm: dict[str, float] = field(default_factory=dict)
    """Where each camera looks, as configured; 0 of the others."""
    cameras: dict[str, CameraRecord] = field(default_factory=dict)
    origins: dict[str, set[str]] = field(default_factory=dict)
    """Every `station`, `run`, `model`, `config`, `calibration`, `recipe` and `job` that frames of the coil name."""
    first_ns: int = 0
    last_ns: int = 0
    unheard: int = 0
    """Messages that were published while the coil ran and are not here."""
    foreign: int = 0
    """Lines that are no message of a station."""
    restarts: int = 0
    """How often the station began anew within the coil, and the coil goes on."""
    left_out: int = 0
    """How often it did, and what it saw before is left out."""
    _run: str = ""
    _last_event: int = 0

    def take(self, message: Message | None) -> None:
        """Note a message; None is one that could not be read."""
        if message is None:
            self.foreign += 1
            return
        self._follow_run(message)
        if isinstance(message, Heartbeat):
            for name in message.ledger:
                self._camera(name)
            return
        self._count_events(message)
        if isinstance(message, StateEvent):
            self._camera(message.camera).note_state(message)
        elif isinstance(message, CoverageEvent):
            self._camera(message.camera).note_span(message)
        elif isinstance(message, InspectionEvent):
            self._take_frame(message)

    @property
    def begun(self) -> bool:
        """Whether a frame of the coil came."""
        return bool(self.first_ns)

    @property
    def ended(self) -> bool:
        """Whether a camera shows another coil by now, and no other one that can be heard still shows this one."""
        cameras = self.cameras.values()
        return any(camera.gone for camera in cameras) and not any(camera.here and not camera.away for camera in cameras)

    def _camera(self, name: str) -> CameraRecord:
        if name not in self.cameras:
            self.cameras[name] = CameraRecord(self.coil, self.reaches_mm.get(name, 0.0))
        return self.cameras[name]

    def _take_frame(self, event: InspectionEvent) -> None:
        carried = self._camera(event.camera).carry(event)
        if carried is None:
            self._leave_out()
        if self._camera(event.camera).take(carried or event):
            self._note_origin(event)

    def _follow_run(self, message: Message) -> None:
        """Go on over a restart of the station where its numbers do."""
        run, before = message.origin.run, self._run
        self._run = run
        if before in ("", run):
            return
        number = message.last_event if isinstance(message, Heartbeat) else message.event - 1
        if number < self._last_event:
            self._leave_out()
            return
        self.restarts += self.begun and not self.ended
        for camera in self.cameras.values():
            camera.begin_run()

    def _leave_out(self) -> None:
        """Begin anew: the zero is another one."""
        self.left_out += self.begun
        self.cameras.clear()
        self.origins.clear()
        self.restarts = self.first_ns = self.last_ns = self.unheard = self._last_event = 0

    def _count_events(self, message: Numbered) -> None:
        if self._last_event and self.begun and not self.ended:
            self.unheard += max(0, message.event - self._last_event - 1)
        self._last_event = message.event

    def _note_origin(self, event: InspectionEvent) -> None:
        self.first_ns = min(self.first_ns or event.captured_ns, event.captured_ns)
        self.last_ns = max(self.last_ns, event.captured_ns)
        named = {key: getattr(event.origin, key) for key in _ORIGINS} | {"job": event.job}
        for key, value in named.items():
            if value:
                self.origins.setdefault(key, set()).add(value)
