"""A station's two sockets without a station: a publisher, and a journal that answers from a list."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zmq

from station.event import (
    EngineRecord,
    Heartbeat,
    InspectionEvent,
    JournalRecord,
    Message,
    Numbered,
    Origin,
    StageTimes,
    encode,
    topic,
)
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

__all__ = ["JournalDouble", "StationDouble", "inspection", "standing"]


def inspection(event: int, run: str = "run1", camera: str = "top", captured_ns: int = 0) -> InspectionEvent:
    """Return an event of that number and run."""
    return InspectionEvent(
        event=event,
        origin=Origin("line", run, "model", "config"),
        camera=camera,
        sequence=event,
        captured_ns=captured_ns,
        clock="host",
        published_ns=0,
        verdict="accept",
        reason="",
        late=False,
        budget_ms=20.0,
        latency_ms=1.0,
        size_px=(64, 32),
        defects=(),
        stages_us=StageTimes(0, 0, 0, 0, 0),
    )


class JournalDouble:
    """Answers by the protocol; `kept` are the messages on disk, in order. Any thread may change it between requests."""

    def __init__(self, kept: Sequence[Numbered] = (), id: str = "journal1", page_messages: int = 100) -> None:
        self.id = id
        self.kept = list(kept)
        self.last = kept[-1].event if kept else 0
        """The newest number on disk; a loss at the end leaves it beyond the last message."""
        self.page_messages = page_messages
        self.cursors: dict[str, int] = {}
        self.asked: list[Request] = []
        self.refuse = ""
        self.mute = False
        self.garble: list[bytes] | None = None
        """Sent in place of an answer, once."""

    @property
    def first(self) -> int:
        return self.kept[0].event if self.kept else self.last + 1

    def keep(self, *messages: Numbered) -> None:
        """Put messages on disk."""
        self.kept += messages
        self.last = max(self.last, self.kept[-1].event)

    def answer(self, request: Request) -> tuple[Reply, list[bytes]]:
        """Return the reply and its parts."""
        self.asked.append(request)
        if self.refuse:
            return Refused(request.id, self.refuse), []
        match request:
            case Read():
                return self._page(request)
            case Snapshot():
                newest = {topic(message): message for message in self.kept}
                return Latest(request.id, self.id, self.first, self.last), [encode(one) for one in newest.values()]
            case Where():
                return self._cursor(request.id, request.consumer), []
            case Acknowledge():
                if request.event > self.last:
                    return Refused(request.id, f"{request.event} is not on disk yet"), []
                self.cursors[request.consumer] = request.event
                return self._cursor(request.id, request.consumer), []

    def _cursor(self, id: int, consumer: str) -> Cursor:
        return Cursor(id, self.id, self.first, self.last, self.cursors.get(consumer))

    def _page(self, request: Read) -> tuple[Page, list[bytes]]:
        end = self.last if request.end is None else min(request.end, self.last)
        found = [message for message in self.kept if request.start <= message.event <= end]
        given = found[: self.page_messages]
        after = given[-1].event + 1 if len(given) < len(found) else end + 1
        parts = [b"\n".join(encode(message) for message in given)] if given else []
        return Page(request.id, self.id, self.first, self.last, after), parts


class StationDouble:
    """What a client connects to: `say` publishes, in the test's thread; the journal answers in its own."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], folder: Path, journal: JournalDouble | None) -> None:
        self.live = f"ipc://{folder}/live"
        self.replay = f"ipc://{folder}/replay"
        self.journal = journal
        self.run = "run1"
        self.interval_s = 5.0
        """Of heartbeats, as they say; long, so that a busy computer is not taken for silence."""
        self.publisher = context.socket(zmq.PUB)
        self.publisher.linger = 0
        self.publisher.sndhwm = 1_000_000
        self.publisher.bind(self.live)

    def say(self, *messages: Message) -> None:
        """Publish."""
        for message in messages:
            self.publisher.send_multipart([topic(message).encode(), encode(message)])

    def beat(self, last_event: int = 0) -> None:
        """Publish a heartbeat that tells of the journal as it is."""
        journal = self.journal
        record = JournalRecord(journal.id, journal.first, journal.last, 0, "online") if journal else None
        origin = Origin("line", self.run, "model", "config")
        engine = EngineRecord("fake", (), "")
        self.say(Heartbeat(origin, time.time_ns(), self.interval_s, last_event, {}, engine, {}, journal=record))


@contextmanager
def standing(folder: Path, journal: JournalDouble | None) -> Iterator[StationDouble]:
    """Yield a station whose sockets are bound; with a journal a thread of its own answers for it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    double, stopping = StationDouble(context, folder, journal), threading.Event()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.bind(double.replay)
    answering = threading.Thread(target=_answer, args=(router, journal, stopping), name="journal double")
    answering.start()
    try:
        yield double
    finally:
        stopping.set()
        answering.join()
        double.publisher.close()
        context.term()


def _answer(router: zmq.Socket[bytes], journal: JournalDouble | None, stopping: threading.Event) -> None:
    with router:
        while not stopping.is_set():
            if router.poll(5):
                client, request = router.recv_multipart()
                if journal is None or journal.mute:
                    continue
                reply, parts = journal.answer(decode_request(request))
                garble, journal.garble = journal.garble, None
                router.send_multipart([client, *(garble or [msgspec.json.encode(reply), *parts])])
