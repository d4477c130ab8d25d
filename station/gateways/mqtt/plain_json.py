"""The station's messages as JSON on topics, with what a dashboard needs. Pure.

`inspection/<camera>`, `state/<camera>`, `coverage/<camera>`, `model`, `service/<name>`, `loss` and `heartbeat` are the
messages of `station.event`; `verdict/<camera>`, `status`, `gap`, `expired` and `renumbered` are the gateway's own.
`origin.run` and `event` together name one message: who has had it knows it again.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from shadowline import __version__
from station.client import Gap, Renumbered
from station.event import CoverageEvent, Heartbeat, InspectionEvent, LossEvent, encode, topic
from station.gateways.base import Entry, Expired, View
from station.gateways.mqtt.base import Begin, Publication

__all__ = ["PlainJson", "StatusMessage", "VerdictMessage"]


class StatusMessage(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.mqtt-status/1"):
    """Whether results come. Anything but `online` and true means: reject."""

    gateway: Literal["online", "offline"]
    """Offline is also the broker's word, when the gateway is gone."""
    station: str
    station_heard: bool
    """Its heartbeats come."""
    journal: str = ""
    """Where the numbers are counted."""
    version: str = __version__
    expired: int = 0
    """Results that were too old when the broker could have had them, in all."""
    lost: int = 0
    """Messages that never reached the gateway, in all."""


class VerdictMessage(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.mqtt-verdict/1"):
    """The last verdict of a camera, flat."""

    camera: str
    run: str
    event: int
    sequence: int
    verdict: Literal["accept", "reject", "invalid"]
    reason: str
    late: bool
    defects: int
    latency_ms: float
    captured_ns: int
    published_ns: int
    part: str
    job: str
    recipe: str
    coil: str | None
    position_mm: float | None


class _GapMessage(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.mqtt-gap/1"):
    first: int
    last: int
    reason: str


class _ExpiredMessage(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.mqtt-expired/1"):
    first: int
    last: int
    inspections: int


class _RenumberedMessage(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.mqtt-renumbered/1"):
    reason: str


_encode = msgspec.json.Encoder().encode


class PlainJson:
    """Says everything under one prefix."""

    def __init__(self, prefix: str, station: str) -> None:
        self._prefix = prefix
        self._station = station
        self._status: StatusMessage | None = None
        self._beat: Heartbeat | None = None

    def begin(self) -> Begin:
        self._status = None
        return Begin(self._said_status(StatusMessage("offline", self._station, station_heard=False)), ())

    def hear(self, topic: str, payload: bytes) -> None:
        """Nothing: a station does not listen to JSON."""

    def tell(self, view: View) -> Sequence[Publication]:
        said = []
        status = StatusMessage("online", self._station, view.online, view.journal, expired=view.expired, lost=view.lost)
        if status != self._status:
            self._status = status
            said.append(self._said_status(status))
        if view.beat is not None and view.beat is not self._beat:
            self._beat = view.beat
            said.append(Publication(f"{self._prefix}/heartbeat", encode(view.beat), qos=0, perishable=True))
        return said

    def carry(self, entry: Entry) -> Sequence[Publication]:
        match entry:
            case InspectionEvent():
                return self._result(entry), self._verdict(entry)
            case Gap():
                return (self._said("gap", _encode(_GapMessage(entry.first, entry.last, entry.reason))),)
            case Expired():
                lost = _ExpiredMessage(entry.first, entry.last, entry.inspections)
                return (self._said("expired", _encode(lost)),)
            case Renumbered():
                return (self._said("renumbered", _encode(_RenumberedMessage(entry.reason))),)
            case CoverageEvent() | LossEvent():
                return (self._said(topic(entry).replace(".", "/"), encode(entry)),)
            case _:
                return (self._said(topic(entry).replace(".", "/"), encode(entry), retain=True),)

    def _said(self, name: str, payload: bytes, retain: bool = False) -> Publication:
        return Publication(f"{self._prefix}/{name}", payload, retain=retain)

    def _said_status(self, status: StatusMessage) -> Publication:
        return self._said("status", _encode(status), retain=True)

    def _result(self, event: InspectionEvent) -> Publication:
        return Publication(f"{self._prefix}/inspection/{event.camera}", encode(event), perishable=True, result=True)

    def _verdict(self, event: InspectionEvent) -> Publication:
        place = event.position
        flat = VerdictMessage(
            camera=event.camera,
            run=event.origin.run,
            event=event.event,
            sequence=event.sequence,
            verdict=event.verdict,
            reason=event.reason,
            late=event.late,
            defects=len(event.defects),
            latency_ms=event.latency_ms,
            captured_ns=event.captured_ns,
            published_ns=event.published_ns,
            part=event.part,
            job=event.job,
            recipe=event.origin.recipe,
            coil=place.coil if place is not None else None,
            position_mm=place.mm if place is not None else None,
        )
        return Publication(f"{self._prefix}/verdict/{event.camera}", _encode(flat), qos=0, retain=True)
