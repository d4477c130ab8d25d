"""The client's talk with the journal: a page after the other, and how far the consumer is. The caller's thread."""

import itertools
import logging
import math
import time
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import zmq

from shadowline.errors import StationError
from station.client.items import Silence
from station.client.order import Order
from station.client.sockets import Socket, Vigil, poll
from station.client.wire import read_messages, read_reply
from station.event import Heartbeat, Message
from station.journal.protocol import Acknowledge, Cursor, Latest, Page, Read, Refused, Reply, Request, Snapshot, Where

__all__ = ["Replay"]

logger = logging.getLogger(__name__)

_ANSWER_S = 1.0
_AGAIN_S = 0.02
_REFUSED_S = 1.0
_ACKNOWLEDGE_S = 0.2
_MOST_A_TURN = 16

_R = TypeVar("_R", Page, Cursor, Latest)


@dataclass(frozen=True, slots=True)
class _Asked:
    id: int
    start: int
    journal: str
    until_s: float


class Replay:
    """Reads what an `Order` lacks, one page in flight, and asks again what is not answered."""

    def __init__(self, socket: Socket, endpoint: str, order: Order, consumer: str) -> None:
        """`consumer` is empty for one that has no cursor."""
        self.skipped = 0
        """Answers that were none, and lines of pages that are no message."""
        self._socket = socket
        self._endpoint = endpoint
        self._order = order
        self._consumer = consumer
        self._ids = itertools.count(1)
        self._asked: _Asked | None = None
        self._ask_s = 0.0
        self._done = self._acknowledged = 0
        self._acknowledging = (0, 0)
        self._acknowledge_s = 0.0
        self._refusal = ""
        self._vigil = Vigil(socket, endpoint)
        self._lacking: int | None = None

    def where(self, timeout_s: float) -> Cursor:
        """Return how far the consumer has acknowledged. Raises `StationError`."""
        return self._ask(Where(next(self._ids), self._consumer), Cursor, timeout_s)[0]

    def reach(self, timeout_s: float) -> Page:
        """Return an empty page, which says from where to where the journal goes. Raises `StationError`."""
        return self._ask(Read(next(self._ids), 0, 0), Page, timeout_s)[0]

    def latest(self, timeout_s: float) -> list[Message]:
        """Return the newest message of each topic. Raises `StationError`."""
        _, parts = self._ask(Snapshot(next(self._ids)), Latest, timeout_s)
        messages, unreadable = read_messages(parts)
        self.skipped += unreadable
        return messages

    def acknowledge(self, event: int) -> None:
        """Let the journal keep that all up to `event` is done with; told soon, not at once."""
        self._done = max(self._done, event)
        self._acknowledge(time.monotonic())

    def forget(self) -> None:
        """Forget what was acknowledged: the numbers begin anew."""
        self._done = self._acknowledged = 0

    def flush(self, timeout_s: float) -> None:
        """Wait until the journal has kept all that was acknowledged, or `timeout_s`."""
        until_s = time.monotonic() + timeout_s
        while self._done > self._acknowledged and (now_s := time.monotonic()) < until_s:
            self._acknowledge(now_s)
            if poll([self._socket], _ACKNOWLEDGE_S):
                self.take()

    def send_due(self) -> None:
        """Ask for what is wanted, and acknowledge."""
        now_s, want = time.monotonic(), self._order.wanted()
        if want is not None and now_s >= self._next_s:
            self._read(*want)
        self._acknowledge(now_s)

    def due_s(self, patience_s: float) -> float:
        """Return when there is something to send, or silence to tell, on the monotonic clock."""
        reading = min(self._next_s, self._vigil.due_s(patience_s)) if self._order.wanted() else math.inf
        return min(reading, self._acknowledge_s if self._done > self._acknowledged else math.inf)

    def look(self, patience_s: float) -> Silence | None:
        """Return the silence where one has begun: for `patience_s` nothing came of what is wanted."""
        lacking = self._order.position if self._order.wanted() else None
        if lacking is None or lacking != self._lacking:
            self._vigil.hear()
        self._lacking = lacking
        return self._vigil.look(patience_s)

    def take(self) -> None:
        """Take the answers that wait."""
        for _ in range(_MOST_A_TURN):
            if (answer := self._receive()) is None:
                return
            self._understand(*answer)

    @property
    def _next_s(self) -> float:
        return self._asked.until_s if self._asked else self._ask_s

    def _read(self, start: int, end: int | None) -> None:
        asked = _Asked(next(self._ids), start, self._order.journal, time.monotonic() + _ANSWER_S)
        self._asked = asked if self._send(Read(asked.id, start, end)) else None
        self._ask_s = time.monotonic() + _AGAIN_S

    def _acknowledge(self, now_s: float) -> None:
        if self._done > self._acknowledged and now_s >= self._acknowledge_s:
            self._acknowledge_s = now_s + _ACKNOWLEDGE_S
            self._acknowledging = (next(self._ids), self._done)
            journal = self._order.journal or None
            self._send(Acknowledge(self._acknowledging[0], self._consumer, self._done, journal))

    def _send(self, request: Request) -> bool:
        try:
            self._socket.send(msgspec.json.encode(request), zmq.NOBLOCK)
        except zmq.ZMQError:
            return False  # nobody there now
        return True

    def _receive(self) -> tuple[Reply | None, list[bytes]] | None:
        try:
            head, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.ZMQError:
            return None
        return read_reply(head), parts

    def _understand(self, reply: Reply | None, parts: list[bytes]) -> None:
        match reply:
            case None:
                self.skipped += 1
            case Page():
                self._take_page(reply, parts)
            case Cursor():
                if reply.id == self._acknowledging[0]:
                    self._acknowledged = max(self._acknowledged, self._acknowledging[1])
            case Refused():
                self._take_refusal(reply)
            case Latest():
                pass  # too late

    def _take_page(self, page: Page, parts: list[bytes]) -> None:
        """Hand a page to the order; what follows on it is asked for first, and comes while this one is read."""
        asked, order = self._asked, self._order
        if asked is None or page.id != asked.id:
            return
        self._asked = None
        if asked.journal != order.journal or order.position is None or order.position < asked.start - 1:
            return  # asked of a journal that is another one by now
        if not page.journal:
            self.skipped += 1
            return
        if page.journal == order.journal and page.next <= page.last and (want := order.wanted(page.next)):
            self._read(*want)
        messages, unreadable = read_messages(parts)
        self.skipped += unreadable
        self._refusal = ""
        numbered = [message for message in messages if not isinstance(message, Heartbeat)]
        order.read(page, numbered, "the journal's copy can't be read" if unreadable else "")

    def _take_refusal(self, refused: Refused) -> None:
        """Say why the journal gives nothing, once; it is asked again all the same."""
        if self._asked is None or refused.id != self._asked.id:
            return
        self._asked, self._ask_s = None, time.monotonic() + _REFUSED_S
        if refused.error != self._refusal:
            self._refusal = refused.error
            logger.warning("%s gives nothing: %s", self._endpoint, refused.error)

    def _ask(self, request: Request, kind: type[_R], timeout_s: float) -> tuple[_R, list[bytes]]:
        """Send `request` and wait for its answer; what else comes meanwhile is taken as ever."""
        until_s, again_s = time.monotonic() + timeout_s, 0.0
        while (now_s := time.monotonic()) < until_s:
            if now_s >= again_s and self._send(request):
                again_s = now_s + _ANSWER_S
            if not poll([self._socket], _AGAIN_S):
                continue
            if (answer := self._receive()) is None:
                continue
            reply, parts = answer
            if isinstance(reply, Refused) and reply.id in (0, request.id):
                raise StationError(f"{self._endpoint}: refused: {reply.error}")
            if isinstance(reply, kind) and reply.id == request.id:
                return reply, parts
            self._understand(reply, parts)
        raise StationError(f"{self._endpoint}: no journal answers there within {timeout_s:g} s")
