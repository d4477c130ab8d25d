"""What `station watch` shows: the last events of a station, folded into a state and drawn for a terminal. Pure."""

from collections import Counter, deque
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from station.event import (
    CameraLedger,
    CoverageEvent,
    Heartbeat,
    InspectionEvent,
    LossEvent,
    Message,
    ModelEvent,
    ServiceEvent,
    ServiceState,
    StateEvent,
)

__all__ = ["View", "describe"]

_COLOURS = {"accept": "green", "reject": "red", "invalid": "yellow"}
_LABEL_COLOURS = ("cyan", "magenta", "yellow", "blue", "red", "green")
_WINDOW_S = 5.0
_LATE_HEARTBEATS = 3


@dataclass(slots=True)
class View:
    """Folds messages and draws them; `now_s` is the watcher's own monotonic clock."""

    heartbeat: Heartbeat | None = None
    heartbeat_s: float = 0.0
    states: dict[str, str] = field(default_factory=dict)
    recent: deque[tuple[float, InspectionEvent]] = field(default_factory=lambda: deque(maxlen=4096))
    defects: deque[tuple[InspectionEvent, int]] = field(default_factory=lambda: deque(maxlen=8))
    labels: Counter[str] = field(default_factory=Counter)
    last_reject: InspectionEvent | None = None
    model_change: ModelEvent | None = None
    last_event: int = 0
    run: str = ""
    missed: int = 0
    not_inspected_mm: float = 0.0
    complaints: dict[str, str] = field(default_factory=dict)
    services: dict[str, tuple[ServiceState, str]] = field(default_factory=dict)
    losses: deque[LossEvent] = field(default_factory=lambda: deque(maxlen=3))

    def take(self, message: Message, now_s: float) -> None:
        """Fold `message` in; a jump in its number is something that this watcher missed, but not over a restart."""
        if message.origin.run != self.run:
            self.run, self.last_event, self.missed = message.origin.run, 0, 0
            self.complaints.clear()
            self.services.clear()
        if isinstance(message, Heartbeat):
            self.heartbeat, self.heartbeat_s = message, now_s
            self.states.update({camera: account.state for camera, account in message.ledger.items()})
            return
        if self.last_event:
            self.missed += message.event - self.last_event - 1
        self.last_event = message.event
        if isinstance(message, StateEvent):
            self.states[message.camera] = message.state
            self.complaints[message.camera] = message.detail if message.state in ("degraded", "offline") else ""
            return
        if isinstance(message, ModelEvent):
            self.model_change = message
            return
        if isinstance(message, CoverageEvent):
            self.not_inspected_mm += message.end_mm - message.start_mm if message.reason else 0.0
            return
        if isinstance(message, ServiceEvent):
            self.services[message.service] = (message.state, message.detail)
            return
        if isinstance(message, LossEvent):
            self.losses.append(message)
            return
        self.recent.append((now_s, message))
        if message.defects:
            self.labels.update(defect.label for defect in message.defects)
            self.defects.extend((message, index) for index in range(min(len(message.defects), 3)))
        if message.verdict == "reject":
            self.last_reject = message

    def draw(self, now_s: float, width: int) -> RenderableType:
        """Return the whole picture for a terminal `width` columns wide."""
        parts: list[RenderableType] = [self._header(now_s), self._cameras(now_s), self._tape(width)]
        if self.last_reject is not None:
            parts += [_sketch(self.last_reject, min(width - 4, 100)), self._defects()]
        return Group(*parts)

    def _header(self, now_s: float) -> RenderableType:
        if self.heartbeat is None:
            return Panel(Text("waiting for the station: no heartbeat yet; silence means reject", style="yellow"))
        beat, age_s = self.heartbeat, now_s - self.heartbeat_s
        text = Text.assemble(
            (beat.origin.station, "bold"), f"  run {beat.origin.run}  {beat.origin.model}  on {beat.engine.name}"
        )
        newest = self.recent[-1][1] if self.recent else None
        about = (("recipe", beat.origin.recipe), *((("job", newest.job), ("part", newest.part)) if newest else ()))
        if named := "  ".join(f"{name} {value}" for name, value in about if value):
            text.append(f"\n{named}", style="cyan")
        if age_s > _LATE_HEARTBEATS * beat.interval_s:
            text.append(f"\nno heartbeat for {age_s:.0f} s: treat every part as reject", style="bold white on red")
        for camera, complaint in self.complaints.items():
            if complaint:
                text.append(f"\n{camera} is {self.states[camera]}: {complaint}", style="yellow")
        for service, (state, detail) in self.services.items():
            if state != "online":
                text.append(f"\n{service} is {state}: {detail}", style="yellow")
        for loss in self.losses:
            text.append(f"\nmessages {loss.first} to {loss.last} are not in the journal: {loss.reason}", style="red")
        if self.not_inspected_mm:
            text.append(f"\n{self.not_inspected_mm / 1e3:.2f} m of strip passed uninspected", style="yellow")
        if self.missed:
            text.append(f"\nthis view missed {self.missed} messages; the station did not", style="yellow")
        for place, count in beat.dropped.items():
            text.append(f"\n{count} messages dropped at {place}", style="yellow")
        if (change := self.model_change) is not None:
            bad = change.action in ("refused", "rolled_back", "failed_over")
            text.append(
                f"\nmodel {change.action.replace('_', ' ')}: {change.detail}", style="yellow" if bad else "cyan"
            )
        return Panel(text, title="Shadowline")

    def _cameras(self, now_s: float) -> Table:
        table = Table(expand=True, box=None, pad_edge=False)
        for name in ("camera", "state", "frames/s", "latency p50 / p99 ms"):
            table.add_column(name)
        for name in ("announced", "inspected", "invalid", "late"):
            table.add_column(name, justify="right")
        accounts = self.heartbeat.ledger if self.heartbeat else {}
        for camera, state in self.states.items():
            account = accounts.get(camera, CameraLedger(0, 0, {}, 0, "starting"))
            invalid = ", ".join(f"{reason} {count}" for reason, count in account.invalid.items()) or "0"
            rate, latency = self._speed(camera, now_s)
            table.add_row(
                camera,
                Text(state, style="green" if state == "online" else "bold red" if state == "offline" else ""),
                rate,
                latency,
                str(account.announced),
                str(account.inspected),
                Text(invalid, style="yellow" if account.invalid else ""),
                Text(str(account.late), style="yellow" if account.late else ""),
            )
        return table

    def _speed(self, camera: str, now_s: float) -> tuple[str, str]:
        """Return frames a second and latency quantiles over the last seconds, as text."""
        window = [(at_s, event) for at_s, event in self.recent if event.camera == camera and now_s - at_s < _WINDOW_S]
        if len(window) < 2:
            return "–", "–"
        span_s = max(window[-1][0] - window[0][0], 1e-3)
        latencies = sorted(event.latency_ms for _, event in window)
        p99 = latencies[min(len(latencies) - 1, int(0.99 * len(latencies)))]
        return f"{(len(window) - 1) / span_s:.1f}", f"{latencies[len(latencies) // 2]:.2f} / {p99:.2f}"

    def _tape(self, width: int) -> Text:
        """Draw the last verdicts as a tape, newest at the right."""
        tape = Text("verdicts ")
        for _, event in list(self.recent)[-(width - 10) :]:
            tape.append("█", style=_COLOURS[event.verdict])
        return tape

    def _defects(self) -> Table:
        counts = "  ".join(f"{label} {count}" for label, count in self.labels.most_common())
        table = Table(expand=True, box=None, pad_edge=False, caption=f"since this view began: {counts}")
        for name in ("camera", "frame", "defect", "confidence", "box px", "area px", "depth", "found by"):
            table.add_column(name)
        for event, index in reversed(self.defects):
            defect = event.defects[index]
            x, y, w, h = defect.box_px
            table.add_row(
                event.camera,
                str(event.sequence),
                Text(defect.label, style=_colour(defect.label)),
                f"{defect.confidence:.2f}",
                f"{w}×{h} at {x},{y}",
                str(defect.area_px),
                f"{defect.depth:+.0f}",
                defect.found_by,
            )
        return table


def describe(message: Message) -> str:
    """Return `message` in one line, for a log or a pipe."""
    match message:
        case InspectionEvent():
            defects = ", ".join(f"{defect.label} {defect.confidence:.2f}" for defect in message.defects[:5])
            more = f" and {len(message.defects) - 5} more" if len(message.defects) > 5 else ""
            late = " LATE" if message.late else ""
            part = f" part {message.part}" if message.part else ""
            return (
                f"{message.event} {message.camera} #{message.sequence} {message.verdict}"
                f" {message.latency_ms:.2f} ms{late}{part}  {defects or message.reason}{more}"
            ).rstrip()
        case StateEvent():
            return f"{message.event} {message.camera} {message.state}  {message.detail}".rstrip()
        case CoverageEvent():
            return (
                f"{message.event} {message.camera} {'not ' if message.reason else ''}inspected"
                f" {message.start_mm:.0f} to {message.end_mm:.0f} mm of coil {message.coil or '-'}  {message.reason}"
            ).rstrip()
        case ModelEvent():
            return f"{message.event} model {message.action} {message.model}  {message.detail}".rstrip()
        case ServiceEvent():
            return f"{message.event} {message.service} {message.state}  {message.detail}".rstrip()
        case LossEvent():
            return f"{message.event} journal lost {message.first} to {message.last}  {message.reason}"
        case Heartbeat():
            frames = "; ".join(
                f"{camera} {account.state} announced {account.announced} inspected {account.inspected}"
                f" invalid {sum(account.invalid.values())}"
                for camera, account in message.ledger.items()
            )
            return f"heartbeat  {frames}"


def _colour(label: str) -> str:
    return "white" if label == "unknown" else _LABEL_COLOURS[sum(label.encode()) % len(_LABEL_COLOURS)]


def _sketch(event: InspectionEvent, columns: int) -> Panel:
    """Draw the frame's outline with its regions where they lie, largest last so that it stays whole."""
    width_px, height_px = event.size_px or (1, 1)
    rows = max(4, min(14, round(columns * height_px / width_px / 2)))
    grid = [[(" ", "")] * columns for _ in range(rows)]
    for defect in event.defects:
        x, y, w, h = defect.box_px
        left, right = x * columns // width_px, -(-(x + w) * columns // width_px)
        top, bottom = y * rows // height_px, -(-(y + h) * rows // height_px)
        for row in range(top, min(bottom, rows)):
            for column in range(left, min(right, columns)):
                grid[row][column] = ("▒", _colour(defect.label))
        for offset, letter in enumerate(defect.label[: columns - left]):
            grid[top][left + offset] = (letter, f"bold {_colour(defect.label)}")
    picture = Text("\n").join(Text.assemble(*row) for row in grid)
    title = f"last reject: {event.camera} frame {event.sequence}, {event.reason}"
    return Panel(picture, title=title, subtitle=f"{width_px}×{height_px} px", width=columns + 4)
