"""Gives the journal's messages again to whoever asks, and keeps how far each consumer is. Replay thread."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress

import msgspec
import zmq

from shadowline.errors import JournalError, StationError
from station.clock import Clock
from station.config import JournalConfig
from station.journal.cursors import CURSORS, Cursors
from station.journal.database import is_damage, open_reader, put_aside
from station.journal.protocol import (
    Acknowledge,
    Cursor,
    Latest,
    Page,
    Read,
    Refused,
    Reply,
    Request,
    Snapshot,
    Where,
    decode_request,
)
from station.journal.reader import read
from station.journal.writer import Journal
from station.security.door import Call, Callers
from station.security.gate import Gate

__all__ = ["Replay"]

_TURN_MS = 200
_PAGE_BYTES = 1 << 20
_BYTES_PER_S = 100 << 20
"""What all consumers together get: without a limit one that catches up takes a processor from the line."""
_WAITING_PAGES = 4
_NEWEST = 2**63 - 1
_NO_REQUEST = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Replay:
    """Runs in a `Worker`, within the journal's own."""

    def __init__(self, config: JournalConfig, journal: Journal, gate: Gate, clock: Clock) -> None:
        self.replies: Counter[str] = Counter()
        """How often each kind of reply was given."""
        self.endpoint = config.endpoint
        self._config = config
        self._journal = journal
        self._gate = gate
        self._clock = clock
        self._cursors: Cursors | None = None
        self._stopping = threading.Event()

    def run(self, ready: Callable[[], None]) -> None:
        """Answer until stopped. Raises `ConfigError` when the endpoint can't be bound."""
        with ExitStack() as opened:
            door = self._gate.open(
                "replay",
                zmq.ROUTER,
                self._config.endpoint,
                "[journal] endpoint",
                self._config.plain_network,
                send_waiting=_WAITING_PAGES,
            )
            opened.callback(door.close)
            opened.callback(self._close_cursors)
            self.endpoint = door.endpoint
            callers = self._gate.callers(door)
            ready()
            while not self._stopping.is_set():
                if call := callers.receive(_TURN_MS):
                    self._serve(callers, call)

    def stop(self) -> None:
        """Let the thread end within its turn. Any thread."""
        self._stopping.set()

    def _serve(self, callers: Callers, call: Call) -> None:
        """Answer `call`, and let the line have the time that is left of what its bytes may take."""
        begun_ns = self._clock.tick_ns()
        parts = self._answer(call)
        callers.answer(call, parts)
        spent_s = (self._clock.tick_ns() - begun_ns) / 1e9
        self._stopping.wait(max(0.0, sum(map(len, parts)) / _BYTES_PER_S - spent_s))

    def _answer(self, call: Call) -> list[bytes]:
        try:
            request = decode_request(call.parts[0])
        except _NO_REQUEST as fault:
            return self._encode(Refused(0, f"no request: {fault}"))
        try:
            return self._do(request, call.client)
        except StationError as fault:
            return self._encode(Refused(request.id, str(fault)))

    def _encode(self, reply: Reply) -> list[bytes]:
        self.replies[type(reply).__name__.lower()] += 1
        return [msgspec.json.encode(reply)]

    def _do(self, request: Request, client: str) -> list[bytes]:
        match request:
            case Read():
                return self._read(request)
            case Snapshot():
                record = self._journal.record
                reply = Latest(request.id, record.id, record.first, record.last)
                return self._encode(reply) + list(self._journal.latest.values())
            case Where():
                return self._tell_cursor(request, lambda cursors: cursors.where(_name(client, request.consumer)))
            case Acknowledge():
                return self._acknowledge(request, _name(client, request.consumer))

    def _read(self, request: Read) -> list[bytes]:
        opened, end = self._journal.opened, _NEWEST if request.end is None else request.end
        try:
            with closing(open_reader(self._journal.path)) as connection:
                found = read(connection, request.start, end, _PAGE_BYTES)
        except sqlite3.Error as fault:
            self._journal.report_fault(fault, opened)
            raise JournalError(f"the journal can't be read at the moment: {fault}") from None
        for first, last in found.damaged:
            self._journal.report_unreadable(first, last)
        page = Page(request.id, self._journal.id, found.first, found.last, found.following)
        return self._encode(page) + found.parts

    def _acknowledge(self, request: Acknowledge, name: str) -> list[bytes]:
        record = self._journal.record
        if request.journal not in (None, record.id):
            raise JournalError(f"{request.event} is of journal {request.journal}, this one is {record.id}: begin anew")
        if request.event > record.last:
            raise JournalError(f"{request.event} can't be acknowledged: the newest on disk is {record.last}")
        utc_ns = self._clock.utc_ns()
        return self._tell_cursor(request, lambda cursors: cursors.acknowledge(name, request.event, utc_ns))

    def _tell_cursor(self, request: Where | Acknowledge, ask: Callable[[Cursors], int | None]) -> list[bytes]:
        """Return how far a consumer is, as `ask` says; damaged cursors are put aside, and consumers begin anew."""
        path = self._journal.path.with_name(CURSORS)
        try:
            self._cursors = self._cursors or Cursors(path, self._journal.id)
            acknowledged = ask(self._cursors)
        except sqlite3.Error as fault:
            self._close_cursors()
            if is_damage(fault):
                with suppress(OSError):
                    put_aside(path, self._clock.utc_ns())
            raise JournalError(f"{CURSORS}: {fault}: ask again") from None
        record = self._journal.record
        return self._encode(Cursor(request.id, record.id, record.first, record.last, acknowledged))

    def _close_cursors(self) -> None:
        if self._cursors is not None:
            self._cursors.close()
        self._cursors = None


def _name(client: str, consumer: str) -> str:
    """Return the name a cursor is kept under: with keys it is the client's own, so that no other moves it."""
    return f"{client}/{consumer}" if client else consumer
