"""A gateway: takes the station's messages in order and sees to it that the peer has each once. The gateway's thread.

journal ─► Client ─► held ─► Outlet ─► peer
                      └── settled by the peer ─► the cursor in the journal
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, takewhile

from shadowline.errors import ConfigError, KeysError, PeerLost, StationError
from station.client import Client, Gap, Item, Renumbered, Silence
from station.clock import Clock
from station.config.gateways import GatewayBase
from station.event import CoverageEvent, Heartbeat, InspectionEvent, StateEvent
from station.gateways.age import Ages
from station.gateways.base import Entry, Expired, GatewayState, Outlet, Turn, View
from station.gateways.circuit import Circuit
from station.gateways.commander import Commander
from station.gateways.pulse import Pulse
from station.gateways.tally import Tally

__all__ = ["Gateway"]

logger = logging.getLogger(__name__)

_MOST_HELD = 1024
_MOST_A_TURN = 256
_IDLE_S = 0.05
_AGAIN_S = 1.0


@dataclass(slots=True)
class _Held:
    """An entry that the peer has not settled: its number, and the last one for which it stands as well."""

    entry: Entry
    number: int
    last: int
    heard_s: float


class Gateway:
    """Carries until told to stop. Everything that waits is bounded: what has no room here stays in the journal."""

    def __init__(
        self,
        config: GatewayBase,
        client: Callable[[], Client],
        outlet: Outlet,
        pulse: Pulse,
        commander: Commander,
        ages: Ages,
        tally: Tally,
        clock: Clock,
    ) -> None:
        """`client` makes the consumer's client, with its cursor, as often as it is needed."""
        self._config, self._make_client, self._outlet = config, client, outlet
        self._pulse, self._commander, self._ages, self._tally, self._clock = pulse, commander, ages, tally, clock
        self._circuit = Circuit(config)
        self._held: deque[_Held] = deque()
        self._put = 0
        """So many of the held entries were put since the outlet was opened."""
        self._room = 0
        self._fenced = False
        """The numbers begin anew behind what is held: nothing more is taken before the peer has settled that."""
        self._is_open = False
        self._opened_s = self._retry_s = self._client_s = 0.0
        self._client: Client | None = None
        self._listening = ExitStack()

    def run(self, stopping: Callable[[], bool], alive: Callable[[], None]) -> None:
        """Carry until `stopping`, and call `alive` in every turn.

        Raises `ConfigError`, `KeysError` and `MissingExtra`.
        """
        try:
            while not stopping():
                alive()
                self._ages.look()
                self._hear()
                self._serve()
        finally:
            self._outlet.close()
            self._listening.close()

    def _hear(self) -> None:
        """Take what the station has said, as far as there is room; wait for it one cycle long."""
        timeout_s = min(self._config.cycle_ms / 1e3, _IDLE_S if self._held or not self._is_open else math.inf)
        if self._client is None:
            self._connect()
        if self._client is None or not self._may_take():
            time.sleep(timeout_s)
            return
        if self._put < len(self._held) and self._room:
            timeout_s = 0.0
        for _ in range(_MOST_A_TURN):
            if (item := self._client.receive(timeout_s)) is None:
                return
            self._take(item)
            timeout_s = 0.0
            if not self._may_take():
                return

    def _may_take(self) -> bool:
        """Whether another entry has room; what has none stays in the journal."""
        return self._is_open and not self._fenced and len(self._held) < _MOST_HELD

    def _connect(self) -> None:
        """Connect to the station, once a second while it is not there."""
        if time.monotonic() < self._client_s:
            return
        try:
            self._client = self._listening.enter_context(self._make_client())
        except (ConfigError, KeysError):
            raise
        except StationError as fault:
            logger.debug("%s", fault)
            self._client_s = time.monotonic() + _AGAIN_S

    def _take(self, item: Item) -> None:
        match item:
            case Heartbeat() | Silence():
                return
            case Gap():
                self._tally.lose(item)
                self._hold(item, item.last)
            case Renumbered():
                self._fenced = True
                self._hold(item, 0)
            case InspectionEvent() | StateEvent() | CoverageEvent() if not self._is_wanted(item.camera):
                self._pass_over(item.event)
            case _:
                self._hold(item, item.event)

    def _is_wanted(self, camera: str) -> bool:
        return not self._config.cameras or camera in self._config.cameras

    def _hold(self, entry: Entry, number: int) -> None:
        self._held.append(_Held(entry, number, number, time.monotonic()))

    def _pass_over(self, number: int) -> None:
        """Let the entry before stand for this number too; with none before, it is settled."""
        if self._held:
            self._held[-1].last = number
        else:
            self._acknowledge(number)

    def _serve(self) -> None:
        """Do what is due with the peer; a peer that is lost is tried again when its pause is over."""
        if not self._is_open and time.monotonic() < self._retry_s:
            return
        try:
            if not self._is_open:
                self._open()
            self._put_entries()
            self._settle(self._outlet.turn(self._view()))
            self._put_entries()
        except PeerLost as fault:
            self._lose(fault)

    def _open(self) -> None:
        self._outlet.open()
        self._is_open, self._opened_s = True, time.monotonic()
        self._put, self._room = 0, 0
        self._tally.change("online", "")
        logger.info("peer is online")

    def _lose(self, fault: PeerLost) -> None:
        """Close, and decide when to try again."""
        self._outlet.close()
        if self._is_open and time.monotonic() - self._opened_s > self._config.backoff_max_s:
            self._circuit.close()
        self._is_open, self._put, self._room = False, 0, 0
        pause_s = self._circuit.fail()
        self._retry_s = time.monotonic() + pause_s
        state: GatewayState = "offline" if self._circuit.is_open else "retrying"
        if self._tally.change(state, str(fault)):
            logger.warning("peer is lost (%s): %s; next attempt in %.1f s", state, fault, pause_s)
        self._tally.reconnects += 1

    def _put_entries(self) -> None:
        """Put what there is room for, and in place of what is too old the news of that."""
        while self._room > 0 and self._put < len(self._held):
            self._expire()
            entry = self._held[self._put].entry
            if isinstance(entry, Renumbered) and self._put:
                return  # the old numbers are settled first
            self._outlet.put(entry)
            self._put += 1
            self._room -= 1

    def _expire(self) -> None:
        """Turn the entries that are next and too old into one that says so."""
        old = list(takewhile(lambda held: self._is_old(held.entry), islice(self._held, self._put, None)))
        if not old:
            return
        for _ in old:
            del self._held[self._put]
        inspections = sum(isinstance(held.entry, InspectionEvent) for held in old)
        expired = Expired(old[0].number, old[-1].last, inspections)
        self._held.insert(self._put, _Held(expired, expired.last, expired.last, old[0].heard_s))
        self._tally.expired += inspections

    def _is_old(self, entry: Entry) -> bool:
        if isinstance(entry, Gap | Renumbered | Expired):
            return False
        return self._ages.seconds(entry.published_ns) > self._config.max_age_s

    def _settle(self, turn: Turn) -> None:
        """Let go of what the peer has, and move the cursor."""
        self._room = turn.room
        self._tally.counts = turn.counts
        for request in turn.asks:
            self._commander.put(request)
        now_s = time.monotonic()
        while self._put and self._is_settled(self._held[0], turn.done):
            held = self._held.popleft()
            self._put -= 1
            self._circuit.close()
            if isinstance(held.entry, Renumbered):
                self._fenced = False
                logger.info("numbers begin anew: %s", held.entry.reason)
            else:
                self._tally.carry(held.entry, now_s - held.heard_s)
            self._acknowledge(held.last)

    def _is_settled(self, held: _Held, done: int) -> bool:
        """Whether the peer has settled an entry; the begin of new numbers is, once it was put."""
        return isinstance(held.entry, Renumbered) or held.number <= done

    def _acknowledge(self, number: int) -> None:
        """Move the cursor; not while numbers begin anew, since the journal of the old ones is gone."""
        if self._client is not None and not self._fenced and number:
            self._client.acknowledge(number)
        self._tally.done = number

    def _view(self) -> View:
        beat, tally = self._pulse.beat, self._tally
        tally.waiting = max(0, beat.last_event - tally.done) if beat is not None else len(self._held)
        tally.late, tally.reject, tally.station_online = self._pulse.late, self._pulse.rejects(), self._pulse.online
        return View(
            station=beat.origin.station if beat is not None else "",
            online=self._pulse.online and self._client is not None,
            beat=beat,
            now_ns=self._clock.utc_ns(),
            journal=self._client.journal if self._client is not None else "",
            state=tally.state,
            detail=tally.detail,
            waiting=tally.waiting,
            expired=tally.expired,
            lost=tally.lost,
            late=tally.late,
            reject=tally.reject,
            answers=self._commander.answers(),
        )
