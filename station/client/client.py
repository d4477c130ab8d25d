"""A consumer's view of a station: every message once, in order, over restarts of either side. The caller's thread."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Literal, Self

import zmq

from shadowline.errors import ConfigError
from station.client.items import Item, Renumbered
from station.client.order import Order
from station.client.replay import Replay
from station.client.sockets import Peer, Vigil, connected, poll
from station.client.wire import read_message
from station.event import Heartbeat, Message

__all__ = ["Client"]

_WAITING_BYTES = 8 << 20
_MOST_A_TURN = 1000
_SILENT_BEATS = 3
_BEAT_S = 1.0
_LEAST_BEAT_S, _MOST_BEAT_S = 0.01, 60.0
_FLUSH_S = 2.0


class Client:
    """Yields messages, and `Gap`, `Renumbered` and `Silence` where there are none; for one thread, with no other.

    Live messages come at once. What was missed is read from the journal and comes in its place, so messages behind a
    gap wait until it is filled or told as lost. Without a journal gaps are told at once: the way for whatever must act
    in time and has no use for the past.
    """

    def __init__(
        self,
        live: str | Peer,
        replay: str | Peer | None = None,
        *,
        start: int | Literal["first", "now"] = "now",
        consumer: str | None = None,
        journal: str = "",
        heartbeats: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        """Take the endpoints of `[publish]` and, for what was missed, of `[journal]`, each with keys as a `Peer`.

        `start` is where to begin: at a number, at the oldest message kept, or with the next live one. A `consumer`
        begins behind what it acknowledged last, and at `start` the first time. `journal` is the one that a number
        counts in (see `Client.journal`); where the station has another by now, `Renumbered` comes first. `timeout_s` is
        how long to wait for a station at the begin. Raises `ConfigError` where these contradict each other.
        """
        if replay is None and (start != "now" or consumer is not None):
            raise ConfigError("to begin at a number or as a consumer a client needs the journal's endpoint too")
        if isinstance(start, int) and start < 1:
            raise ConfigError(f"messages are numbered from 1: a client can't begin at {start}")
        self._live_peer = Peer(live) if isinstance(live, str) else live
        self._replay_peer = Peer(replay) if isinstance(replay, str) else replay
        self._start = start
        self._consumer = consumer
        self._journal = journal
        self._heartbeats = heartbeats
        self._timeout_s = timeout_s
        self._beat_s = _BEAT_S
        self._skipped = 0

    def __enter__(self) -> Self:
        """Connect. Raises `ConfigError` for what is no endpoint, `StationError` where no station answers or refuses."""
        self._order = Order(self._replay_peer is not None, _WAITING_BYTES)
        with ExitStack() as opening:
            self._live, asking = opening.enter_context(connected(self._live_peer, self._replay_peer, self._timeout_s))
            self._sockets = [self._live]
            self._vigil = Vigil(self._live, self._live_peer.endpoint)
            self._replay: Replay | None = None
            if asking is not None and self._replay_peer is not None:
                self._sockets.append(asking)
                self._replay = Replay(asking, self._replay_peer.endpoint, self._order, self._consumer or "")
                self._begin(self._replay)
            self._opened = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._opened:
            if self._replay is not None and not self._order.past_journals:
                self._replay.flush(_FLUSH_S)

    def __iter__(self) -> Iterator[Item]:
        """Yield what `receive` returns, for ever."""
        while True:
            if (item := self.receive()) is not None:
                yield item

    def receive(self, timeout_s: float | None = None) -> Item | None:
        """Wait for what comes next and return it; None where nothing comes within `timeout_s`."""
        ready = self._order.ready
        until_s = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while not ready:
            self._turn(until_s)
            if not ready and time.monotonic() >= until_s:
                return None
        item = ready.popleft()
        if isinstance(item, Renumbered):
            self._order.past_journals.popleft()
            if self._replay is not None:
                self._replay.forget()
        return item

    def acknowledge(self, event: int) -> None:
        """Let the journal keep that this consumer has done with all up to number `event`.

        It is told several times a second at most and at the end, so the last few may come again after a crash.
        """
        if self._replay is None or self._consumer is None:
            raise ConfigError("only a named consumer acknowledges: give the client a consumer")
        if not self._order.past_journals:  # else that journal is gone
            self._replay.acknowledge(event)

    def snapshot(self) -> list[Message]:
        """Return the newest message of each topic, for a late joiner. Raises `StationError` where none answers."""
        if self._replay is None:
            raise ConfigError("a snapshot is the journal's: give the client its endpoint")
        return self._replay.latest(self._timeout_s)

    @property
    def journal(self) -> str:
        """The id of the journal that the last number was counted in; empty before it is known, and without one."""
        return self._order.past_journals[0] if self._order.past_journals else self._order.journal

    @property
    def silent(self) -> bool:
        """Whether the station is not heard, as of the last `receive`; then treat every part as reject."""
        return self._vigil.silent

    @property
    def caught_up(self) -> bool:
        """Whether all that is known to be in the journal was given out."""
        order = self._order
        return order.position is not None and not order.ready and order.wanted() is None

    @property
    def skipped(self) -> int:
        """Messages that came and were none, or of a kind that this version does not know."""
        return self._skipped + (self._replay.skipped if self._replay else 0)

    def _begin(self, replay: Replay) -> None:
        """Find out where to begin, before anything is heard."""
        if self._consumer is not None:
            cursor = replay.where(self._timeout_s)
            if cursor.acknowledged is not None:
                self._order.begin(cursor.acknowledged + 1, cursor.journal)
                return
            if self._start == "now":
                self._order.begin(cursor.last + 1, cursor.journal)
                replay.acknowledge(cursor.last)
        if self._start == "first":
            reach = replay.reach(self._timeout_s)
            self._order.begin(max(1, reach.first), reach.journal)
        elif self._start != "now":
            self._order.begin(self._start, self._journal)

    def _turn(self, until_s: float) -> None:
        """Ask for what is missing, wait for something, at most until then, and take what comes."""
        patience_s = _SILENT_BEATS * self._beat_s
        due_s = min(until_s, self._vigil.due_s(patience_s))
        if self._replay is not None:
            self._replay.send_due()
            due_s = min(due_s, self._replay.due_s(patience_s))
        poll(self._sockets, due_s - time.monotonic())
        self._take_live()
        silences = [self._vigil.look(patience_s)]
        if self._replay is not None:
            self._replay.take()
            silences.append(self._replay.look(patience_s))
        self._order.ready.extend(silence for silence in silences if silence is not None)

    def _take_live(self) -> None:
        for _ in range(_MOST_A_TURN):
            try:
                payload = self._live.recv_multipart(zmq.NOBLOCK)[-1]
            except zmq.Again:
                return
            self._hear(payload)

    def _hear(self, payload: bytes) -> None:
        message = read_message(payload)
        if message is None:
            self._skipped += 1
            return
        self._vigil.hear()
        if not isinstance(message, Heartbeat):
            self._order.hear(message, len(payload))
            return
        self._beat_s = min(max(message.interval_s, _LEAST_BEAT_S), _MOST_BEAT_S)
        self._order.hear_heartbeat(message)
        if self._heartbeats:
            self._order.ready.append(message)
