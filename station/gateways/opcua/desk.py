"""Where the station's messages meet the clients' server: each entry and each view goes to whom it concerns.

Server's thread.
"""

import time
from collections import Counter
from typing import assert_never

from station.client import Gap, Renumbered
from station.event import (
    CameraState,
    CoverageEvent,
    Heartbeat,
    InspectionEvent,
    LossEvent,
    ModelAction,
    ModelEvent,
    ServiceEvent,
    ServiceState,
    StateEvent,
)
from station.gateways.base import Entry, Expired, View
from station.gateways.opcua.asking import Asking
from station.gateways.opcua.conditions import Conditions, Kind
from station.gateways.opcua.events import Events
from station.gateways.opcua.live import Live
from station.gateways.opcua.machine import Machine
from station.gateways.opcua.recipes import Recipes
from station.gateways.opcua.results import Result, Results
from station.gateways.opcua.states import State

__all__ = ["Desk", "StationClock", "fault_of"]

_CAMERA: dict[CameraState, Kind | None] = {"degraded": "warning", "offline": "error"}
_SERVICE: dict[ServiceState, Kind | None] = {"degraded": "warning", "offline": "persistent"}
_MODEL: dict[ModelAction, Kind] = {"refused": "warning", "rolled_back": "warning", "failed_over": "error"}
"""What failed in the background: another model, or the recipe that a client had chosen."""
_WORKING: tuple[CameraState, ...] = ("online", "degraded")
_SILENT = "is not heard"


class StationClock:
    """Tells the station's UTC from its heartbeats, so that clocks which disagree misplace no picture."""

    def __init__(self) -> None:
        self._ahead_ns = 0
        self._beat: Heartbeat | None = None

    def hear(self, view: View) -> None:
        """Compare, where a heartbeat is new."""
        if view.beat is not None and view.beat is not self._beat:
            self._beat, self._ahead_ns = view.beat, view.beat.published_ns - view.now_ns

    def now_ns(self) -> int:
        """Return the station's UTC as of now."""
        return time.time_ns() + self._ahead_ns


class Desk:
    """Takes entries and views, in the order in which the gateway hands them on."""

    def __init__(
        self,
        clock: StationClock,
        machine: Machine,
        events: Events,
        conditions: Conditions,
        live: Live,
        recipes: Recipes,
        results: Results,
        asking: Asking,
        cameras: tuple[str, ...],
    ) -> None:
        """`cameras` are those whose results are carried; all, where none is named."""
        self._clock, self._machine, self._events, self._conditions = clock, machine, events, conditions
        self._live, self._recipes, self._results, self._asking = live, recipes, results, asking
        self.counts: Counter[str] = Counter()
        """Results by whether they were a job's."""
        self._cameras = cameras
        self._fault: str | None = None

    async def take(self, entry: Entry) -> None:
        """Show an entry, and tell those who listen."""
        match entry:
            case InspectionEvent():
                await self._inspection(entry)
            case StateEvent():
                kind = _CAMERA.get(entry.state)
                await self._live.camera(entry.camera, entry.state)
                await self._conditions.show(f"camera-{entry.camera}", kind, f"{entry.state}: {entry.detail}")
            case ServiceEvent():
                kind = _SERVICE.get(entry.state)
                await self._conditions.show(f"service-{entry.service}", kind, f"{entry.state}: {entry.detail}")
            case ModelEvent():
                if (kind := _MODEL.get(entry.action)) is not None:
                    await self._conditions.tell("model", kind, f"{entry.action}: {entry.detail}")
            case CoverageEvent() | LossEvent() | Gap() | Expired() | Renumbered():
                pass  # the counters in the view tell what was lost
            case _ as never:
                assert_never(never)

    async def look(self, view: View) -> None:
        """Show the station as it is now."""
        self._clock.hear(view)
        for refusal in self._asking.answer(view.answers):
            await self._conditions.tell("command", "warning", f"refused, too late for its client: {refusal}")
        await self._live.look(view)
        for name, ledger in (view.beat.ledger if view.beat else {}).items():
            await self._live.camera(name, ledger.state)
        if view.beat is not None:
            await self._recipes.hear(view.beat.origin.recipe or "default")
        if view.online or self._fault is not None:  # not before it was heard for the first time
            await self._judge(fault_of(view, self._cameras))

    async def _judge(self, fault: str) -> None:
        if fault == self._fault:
            return
        self._fault = fault
        kind: Kind | None = "error" if fault else None
        await self._conditions.show("station", kind, f"station {fault or 'works'}", stops=True)
        await self._machine.hear(fault, self._clock.now_ns())

    async def _inspection(self, event: InspectionEvent) -> None:
        await self._live.take(event)
        vision = self._machine.vision
        if (job := vision.claim(event.captured_ns)) is None:
            self.counts["of_no_job"] += 1
            return
        self.counts["reported"] += 1
        result = Result(event, job, vision.simulated)
        self._results.keep(result)
        single = vision.state is State.SINGLE_EXECUTION and job is vision.job
        if single:
            await self._events.about_job("AcquisitionDone", job)
        await self._events.result_ready(result)
        if single:
            await self._machine.finish_single(self._clock.now_ns())


def fault_of(view: View, cameras: tuple[str, ...]) -> str:
    """Return why the station can't work: it is silent, or none of its cameras gives pictures; else nothing."""
    if not view.online or view.beat is None:
        return _SILENT
    ledgers = {name: one for name, one in view.beat.ledger.items() if not cameras or name in cameras}
    if ledgers and not any(one.state in _WORKING for one in ledgers.values()):
        return "has no camera that works: " + ", ".join(f"{name} {one.state}" for name, one in ledgers.items())
    return ""
