"""What healthz and readyz find, by the threads and the last heartbeat."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec
import pytest

from station.clock import ManualClock
from station.event import CameraLedger, CameraState, EngineRecord, Heartbeat, JournalRecord, Origin
from station.metrics import Health
from station.worker import Ready, Worker

CLOCK = ManualClock()
BEAT = Heartbeat(
    origin=Origin("line", "run", "model", "config"),
    published_ns=CLOCK.utc_ns(),
    interval_s=1.0,
    last_event=1,
    ledger={"top": CameraLedger(announced=1, inspected=1, invalid={}, late=0, state="online")},
    engine=EngineRecord("fake", ("defect",), ""),
    dropped={},
)


def at(state: CameraState) -> dict[str, CameraLedger]:
    return {"top": msgspec.structs.replace(BEAT.ledger["top"], state=state)}


def health(beat: Heartbeat | None, judged: bool = True, clock: ManualClock = CLOCK) -> Health:
    first_verdict = threading.Event()
    if judged:
        first_verdict.set()
    return Health([], lambda: beat, first_verdict, clock)


CASES: dict[str, tuple[Heartbeat | None, list[str]]] = {
    "well": (BEAT, []),
    "degraded, which still inspects": (msgspec.structs.replace(BEAT, ledger=at("degraded")), []),
    "just started": (None, ["no heartbeat yet"]),
    "a camera that is not there yet": (
        msgspec.structs.replace(BEAT, ledger=at("starting")),
        ["camera top is starting"],
    ),
    "a camera that is away": (msgspec.structs.replace(BEAT, ledger=at("offline")), ["camera top is offline"]),
    "a source at its end": (msgspec.structs.replace(BEAT, ledger=at("ended")), ["camera top is ended"]),
    "a counter that is not heard": (
        msgspec.structs.replace(BEAT, encoder="offline"),
        ["the line's counter is offline"],
    ),
    "a journal that is away": (
        msgspec.structs.replace(BEAT, journal=JournalRecord("a", 1, 2, 3, "offline", "no space left")),
        ["the journal is offline: no space left"],
    ),
    "a journal that is behind": (
        msgspec.structs.replace(BEAT, journal=JournalRecord("a", 1, 2, 3, "degraded", "slow")),
        [],
    ),
}


@pytest.mark.parametrize(("beat", "reasons"), CASES.values(), ids=CASES)
def test_what_the_heartbeat_says_decides(beat: Heartbeat | None, reasons: list[str]) -> None:
    assert health(beat).obstacles() == reasons
    assert health(beat).faults() == []


def test_ready_only_after_the_first_verdict() -> None:
    assert health(BEAT, judged=False).obstacles() == ["no frame has been judged yet"]


def test_a_silent_heart_is_a_fault() -> None:
    clock = ManualClock()
    looking = health(BEAT, clock=clock)
    clock.sleep(3.9)
    assert looking.faults() == []
    clock.sleep(0.2)
    assert looking.faults() == looking.obstacles() == ["no heartbeat for 4 s"]


@contextmanager
def running(name: str, fails: bool) -> Iterator[Worker]:
    """A thread that has ended by now, by itself or by a failure."""
    entered = threading.Event()

    def target(ready: Ready) -> None:
        ready()
        entered.wait()
        if fails:
            raise RuntimeError("out of order")

    with Worker(name, target, lambda: None) as worker:
        entered.set()
        worker.join()
        yield worker


def test_threads_that_ended_or_failed_are_faults() -> None:
    with ExitStack() as held:
        workers = [
            held.enter_context(running("publish", fails=False)),
            held.enter_context(running("inspect", fails=True)),
            held.enter_context(running("capture top", fails=False)),
        ]
        looking = Health(workers, lambda: BEAT, threading.Event(), CLOCK)
        assert looking.faults() == ["thread publish has ended", "thread inspect failed: out of order"]
