"""The newest of what the station says, for all browsers at once. Filled by the feed thread, read by any.

Results come live alone: those that were missed meanwhile are the journal's, and not live. States last until they
change, so of each run of the station the newest are asked of the journal.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from shadowline.errors import StationError
from station.client import Client, Item, Peer
from station.event import (
    CoverageEvent,
    Heartbeat,
    InspectionEvent,
    Message,
    ModelEvent,
    ServiceEvent,
    StateEvent,
    topic,
)

__all__ = ["Arrived", "Feed", "FeedState"]

_Lasting: TypeAlias = StateEvent | ServiceEvent | CoverageEvent | ModelEvent
_Kept = TypeVar("_Kept")

_VERDICTS = 200
_MOST_CAMERAS, _MOST_STATES = 64, 256
_TURN_S = 0.1
_JOIN_S = 0.5
_BEATS = 1.6
"""Without a message for so many heartbeats the station is down: said within two seconds at one a second."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A result, and when it came."""

    event: InspectionEvent
    tick_ns: int
    """Of the monotonic clock."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """The newest of each kind, at one moment."""

    version: int
    online: bool
    heartbeat: Heartbeat | None
    heartbeat_age_s: float | None
    inspections: Mapping[str, Arrived]
    """By camera."""
    cameras: Mapping[str, StateEvent]
    """The last change of each in this run of the station; the heartbeat's ledger has the state of all."""
    services: Mapping[str, ServiceEvent]
    """What said nothing in this run is not there."""
    coverage: Mapping[str, CoverageEvent]
    model: ModelEvent | None
    verdicts: tuple[InspectionEvent, ...]
    """The last 200, the newest first."""


class Feed:
    """Runs in a `Worker`; browsers read `state` and wait for `changed`."""

    def __init__(self, live: Peer, journal: Peer | None = None, tick_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Without a `journal` only those states are known that change while it listens."""
        self.version = 0
        """Counts up with every message, and when the station comes or goes."""
        self._live, self._journal, self._tick_ns = live, journal, tick_ns
        self._run = ""
        self._lock = Lock()
        self._stopping = Event()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._online = False
        self._heard_ns = self._beat_ns = 0
        self._beat: Heartbeat | None = None
        self._inspections: dict[str, Arrived] = {}
        self._lasting: dict[str, _Lasting] = {}
        self._verdicts: deque[InspectionEvent] = deque(maxlen=_VERDICTS)

    @property
    def stopped(self) -> bool:
        """Whether the console ends; then every stream does."""
        return self._stopping.is_set()

    @property
    def online(self) -> bool:
        """Whether the station is heard."""
        return self._online

    def run(self, ready: Callable[[], None]) -> None:
        """Listen until stopped; a station that is away is waited for."""
        ready()
        while not self.stopped:
            try:
                with Client(self._live, heartbeats=True, timeout_s=_JOIN_S) as client:
                    self._listen(client)
            except StationError:  # no station, or none that lets us in: asked again
                self._look()
                self._stopping.wait(_JOIN_S)

    def stop(self) -> None:
        """Let the thread and all that wait end. Any thread."""
        self._stopping.set()
        self._tell()

    def state(self) -> FeedState:
        """Return what is known now. Any thread."""
        with self._lock:
            age_s = (self._tick_ns() - self._beat_ns) / 1e9 if self._beat else None
            lasting = tuple(self._lasting.values())
            return FeedState(
                self.version,
                self._online,
                self._beat,
                age_s,
                MappingProxyType(dict(self._inspections)),
                MappingProxyType({one.camera: one for one in lasting if isinstance(one, StateEvent)}),
                MappingProxyType({one.service: one for one in lasting if isinstance(one, ServiceEvent)}),
                MappingProxyType({one.camera: one for one in lasting if isinstance(one, CoverageEvent)}),
                next((one for one in lasting if isinstance(one, ModelEvent)), None),
                tuple(reversed(self._verdicts)),
            )

    async def changed(self, version: int, timeout_s: float) -> int:
        """Wait until there is more than `version`, the console ends, or the time is over; return the version."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._waiting.add(waiter)
        try:
            if self.version == version and not self.stopped:
                async with asyncio.timeout(timeout_s):
                    await waiter[1].wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.discard(waiter)
        return self.version

    def _listen(self, client: Client) -> None:
        while not self.stopped:
            item = client.receive(_TURN_S)
            if item is not None:
                self.take(item)
            if isinstance(item, Heartbeat) and item.origin.run != self._run:
                self._run = item.origin.run
                self._begin(self._run, self._ask_journal())
            self._look()

    def _ask_journal(self) -> list[Message]:
        """Return the newest message of each topic; none where the journal does not answer at once."""
        if self._journal is not None:
            with suppress(StationError), Client(self._live, self._journal, timeout_s=_JOIN_S) as asking:
                return asking.snapshot()
        return []

    def _begin(self, run: str, told: Sequence[Message]) -> None:
        """Forget states of another run than `run`, and keep those of it that were `told` before."""
        with self._lock:
            self._lasting = {name: one for name, one in self._lasting.items() if one.origin.run == run}
            for message in told:
                if isinstance(message, _Lasting) and message.origin.run == run:
                    _keep(self._lasting, topic(message), message, _MOST_STATES)
            self.version += 1
        self._tell()

    def take(self, item: Item) -> None:
        """Keep what came. Feed thread."""
        with self._lock:
            tick_ns = self._tick_ns()
            match item:
                case Heartbeat():
                    self._beat, self._beat_ns = item, tick_ns
                case InspectionEvent():
                    _keep(self._inspections, item.camera, Arrived(item, tick_ns), _MOST_CAMERAS)
                    self._verdicts.append(item)
                case StateEvent() | ServiceEvent() | CoverageEvent() | ModelEvent():
                    _keep(self._lasting, topic(item), item, _MOST_STATES)
                case _:
                    return
            self._heard_ns, self._online = tick_ns, True
            self.version += 1
        self._tell()

    def _look(self) -> None:
        """See whether the station has fallen silent."""
        interval_s = self._beat.interval_s if self._beat else 1.0
        if self._online and self._tick_ns() - self._heard_ns > interval_s * _BEATS * 1e9:
            with self._lock:
                self._online = False
                self.version += 1
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)


def _keep(found: dict[str, _Kept], name: str, value: _Kept, most: int) -> None:
    """Put `value` at `name`, within bounds: names come from outside."""
    if name in found or len(found) < most:
        found[name] = value
