"""What the live page is told: the state of the line at one moment, as one JSON object. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from station.console.feed import Arrived, FeedState
from station.console.live.gateways import GatewayView
from station.console.live.pictures import Picture
from station.event import CameraLedger, CameraState, InspectionEvent, JournalRecord, ServiceEvent, ServiceState

__all__ = [
    "CameraView",
    "DefectView",
    "LineView",
    "ResultView",
    "ServiceView",
    "TickerView",
    "encode_line",
    "view_line",
]

_TICKER: Final = 60
_MOST_DEFECTS: Final = 100


class DefectView(msgspec.Struct, frozen=True, array_like=True):
    """A region on the picture."""

    label: str
    confidence: float
    box_px: tuple[int, int, int, int]


class ResultView(msgspec.Struct, frozen=True):
    """What was found on a frame, and how long ago that frame was captured."""

    event: int
    verdict: str
    reason: str
    late: bool
    latency_ms: float
    budget_ms: float
    size_px: tuple[int, int] | None
    defects: tuple[DefectView, ...]
    beyond: int
    """Regions that are not listed."""
    age_ms: float | None
    """Null where it can't be told: then it is not live."""
    version: str = ""
    """Of the picture that shows it; empty without one."""


class CameraView(msgspec.Struct, frozen=True):
    """A camera, its newest picture, its newest result, and what became of all its frames."""

    name: str
    state: CameraState | None
    """Null while nobody is there to tell."""
    detail: str
    picture: ResultView | None
    newest: ResultView | None
    ledger: CameraLedger | None
    under_way: int
    """Announced and neither inspected nor invalid yet; below zero the ledger does not balance."""


class ServiceView(msgspec.Struct, frozen=True):
    """The journal or the archive; a state of null: nothing was heard of it yet, or nobody is there to tell."""

    name: str
    state: ServiceState | None
    detail: str


class TickerView(msgspec.Struct, frozen=True, array_like=True):
    """One verdict in the ribbon."""

    event: int
    camera: str
    verdict: str
    reason: str
    latency_ms: float
    late: bool


class LineView(msgspec.Struct, frozen=True):
    """All that the page shows."""

    online: bool
    silent_s: float | None
    """Since the last heartbeat."""
    cameras: tuple[CameraView, ...]
    ticker: tuple[TickerView, ...]
    """The newest first."""
    services: tuple[ServiceView, ...]
    gateways: tuple[GatewayView, ...]
    engine: str
    why: str
    model: str
    calibration: str
    recipe: str
    part: str
    job: str
    encoder: str
    dropped: int
    """Messages that could not be handed on since the start."""


_encoder = msgspec.json.Encoder()


def encode_line(view: LineView) -> bytes:
    """Return `view` as one server-sent event."""
    return b"event: line\ndata: %b\n\n" % _encoder.encode(view)


def view_line(
    state: FeedState,
    pictures: Mapping[str, Picture | None],
    gateways: Sequence[GatewayView],
    archived: bool,
    tick_ns: int,
) -> LineView:
    """Return what the page shows at `tick_ns`; `pictures` has the newest of each camera of the configuration."""
    beat = state.heartbeat
    newest = state.verdicts[0] if state.verdicts else None
    origin = newest.origin if newest else beat.origin if beat else None
    return LineView(
        online=state.online,
        silent_s=None if state.heartbeat_age_s is None else round(state.heartbeat_age_s, 1),
        cameras=tuple(_view_camera(name, picture, state, tick_ns) for name, picture in pictures.items()),
        ticker=tuple(
            TickerView(one.event, one.camera, one.verdict, one.reason, one.latency_ms, one.late)
            for one in state.verdicts[:_TICKER]
        ),
        services=tuple(_view_services(state, archived)),
        gateways=tuple(gateways),
        engine=beat.engine.name if beat else "",
        why=beat.engine.why if beat else "",
        model=origin.model if origin else "",
        calibration=(origin.calibration or "") if origin else "",
        recipe=origin.recipe if origin else "",
        part=newest.part if newest else "",
        job=newest.job if newest else "",
        encoder=beat.encoder if beat and state.online else "",
        dropped=sum(beat.dropped.values()) if beat else 0,
    )


def _view_camera(name: str, picture: Picture | None, state: FeedState, tick_ns: int) -> CameraView:
    ledger = state.heartbeat.ledger.get(name) if state.heartbeat else None
    changed = state.cameras.get(name)
    arrived = state.inspections.get(name)
    now = ledger.state if ledger and state.online else None
    return CameraView(
        name=name,
        state=now,
        detail=changed.detail if changed and changed.state == now else "",
        picture=_view_result(picture.event, picture.age_ms(tick_ns), picture.version) if picture else None,
        newest=_view_result(arrived.event, _age_ms(arrived, tick_ns)) if arrived else None,
        ledger=ledger,
        under_way=ledger.announced - ledger.inspected - sum(ledger.invalid.values()) if ledger else 0,
    )


def _age_ms(arrived: Arrived, tick_ns: int) -> float:
    return (tick_ns - arrived.tick_ns) / 1e6 + arrived.event.latency_ms


def _view_result(event: InspectionEvent, age_ms: float, version: str = "") -> ResultView:
    return ResultView(
        event=event.event,
        verdict=event.verdict,
        reason=event.reason,
        late=event.late,
        latency_ms=event.latency_ms,
        budget_ms=event.budget_ms,
        size_px=event.size_px,
        defects=tuple(
            DefectView(one.label, round(one.confidence, 3), one.box_px) for one in event.defects[:_MOST_DEFECTS]
        ),
        beyond=max(len(event.defects) - _MOST_DEFECTS, 0),
        age_ms=round(age_ms, 1) if age_ms != float("inf") else None,
        version=version,
    )


def _view_services(state: FeedState, archived: bool) -> Sequence[ServiceView]:
    """Return journal and archive where there are any: the heartbeat tells of the one, its own messages of the other."""
    services = []
    if state.heartbeat and (journal := state.heartbeat.journal):
        services.append(_view_service("journal", journal if state.online else None))
    if archived:
        services.append(_view_service("archive", state.services.get("archive") if state.online else None))
    return services


def _view_service(name: str, told: JournalRecord | ServiceEvent | None) -> ServiceView:
    return ServiceView(name, told.state if told else None, told.detail if told else "")
