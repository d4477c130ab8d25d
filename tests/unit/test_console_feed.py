"""The newest of what the station says: kept by camera, told to all that wait, and known to be old when it is silent."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from station.client import Gap, Peer
from station.console.feed import Feed
from station.event import EngineRecord, Heartbeat, Origin, ServiceEvent, StateEvent
from station.worker import Worker
from tests.journal_double import JournalDouble, StationDouble, inspection, standing

ORIGIN = Origin("line", "run1", "model", "config")


def beat(interval_s: float = 1.0) -> Heartbeat:
    return Heartbeat(ORIGIN, time.time_ns(), interval_s, 0, {}, EngineRecord("fake", (), ""), {})


class Clock:
    tick_ns = 10**12

    def __call__(self) -> int:
        return self.tick_ns


def until(feed: Feed, condition: Callable[[], bool], say: Callable[[], None] = lambda: None) -> None:
    """Wait for what the feed shows, and `say` something meanwhile."""

    async def wait() -> None:
        async with asyncio.timeout(20):
            version = feed.version
            while not condition():
                say()
                version = await feed.changed(version, 0.05)

    asyncio.run(wait())


@pytest.fixture
def station(tmp_path: Path) -> Iterator[StationDouble]:
    with standing(tmp_path, None) as station:
        yield station


def test_the_newest_of_each_kind_is_kept() -> None:
    clock = Clock()
    feed = Feed(Peer("ipc:///nowhere"), tick_ns=clock)
    for item in (inspection(1), inspection(2, camera="bottom"), inspection(3), beat(), Gap(4, 5, "gone")):
        feed.take(item)
        clock.tick_ns += 1_000_000_000
    feed.take(StateEvent(6, ORIGIN, "top", "offline", "unplugged", 0, 0))
    feed.take(ServiceEvent(7, ORIGIN, "archive", "degraded", "disk full", 0, 0))
    state = feed.state()
    assert {name: one.event.event for name, one in state.inspections.items()} == {"top": 3, "bottom": 2}
    assert state.inspections["top"].tick_ns - state.inspections["bottom"].tick_ns == 10**9
    assert [one.event for one in state.verdicts] == [3, 2, 1]
    assert (state.cameras["top"].state, state.services["archive"].detail) == ("offline", "disk full")
    assert state.heartbeat_age_s == 2.0
    assert state.online
    assert state.version == feed.version == 6


def test_it_keeps_a_bounded_number() -> None:
    feed = Feed(Peer("ipc:///nowhere"), tick_ns=Clock())
    for number in range(1, 300):
        feed.take(inspection(number, camera=f"camera{number}"))
    state = feed.state()
    assert len(state.verdicts) == 200
    assert len(state.inspections) == 64


def test_a_station_that_comes_and_goes_is_seen(tmp_path: Path) -> None:
    feed = Feed(Peer(f"ipc://{tmp_path}/live"))
    with Worker("feed", feed.run, feed.stop):
        for run in range(2):
            with standing(tmp_path, None) as station:

                def heard(station: StationDouble = station, run: int = run) -> bool:
                    station.say(beat(0.2), inspection(run * 10 + 1, run=f"run{run}"))
                    return feed.online

                until(feed, heard)
            until(feed, lambda: not feed.online)
        assert feed.state().verdicts


def archive(event: int, detail: str, run: str = "run1") -> ServiceEvent:
    origin = Origin("line", run, "model", "config")
    return ServiceEvent(event, origin, "archive", "degraded", detail, 0, 0)


def test_a_console_that_starts_late_knows_what_was_told_before(tmp_path: Path) -> None:
    told = (archive(1, "old run", "run0"), inspection(2), StateEvent(3, ORIGIN, "top", "offline", "unplugged", 0, 0))
    journal = JournalDouble([*told, archive(4, "disk full")])
    with standing(tmp_path, journal) as station:
        feed = Feed(Peer(station.live), Peer(station.replay))
        with Worker("feed", feed.run, feed.stop):
            until(feed, lambda: bool(feed.state().services), station.beat)
    state = feed.state()
    assert (state.services["archive"].detail, state.cameras["top"].detail) == ("disk full", "unplugged")
    assert not state.inspections  # what is over is not live


def test_states_of_an_earlier_run_are_forgotten(tmp_path: Path) -> None:
    with standing(tmp_path, JournalDouble()) as station:
        feed = Feed(Peer(station.live), Peer(station.replay))
        with Worker("feed", feed.run, feed.stop):
            until(feed, lambda: bool(feed.state().services), lambda: station.say(archive(1, "disk full")))
            station.run = "run2"
            until(feed, lambda: not feed.state().services, station.beat)


def test_a_journal_that_does_not_answer_holds_nothing_up(tmp_path: Path) -> None:
    with standing(tmp_path, None) as station:
        feed = Feed(Peer(station.live), Peer(station.replay))
        with Worker("feed", feed.run, feed.stop):
            until(feed, lambda: bool(feed.state().verdicts), lambda: station.say(beat(), inspection(7)))
            assert feed.online


def test_silence_is_told_within_two_seconds_of_a_beat_a_second(station: StationDouble) -> None:
    clock = Clock()
    feed = Feed(Peer(station.live), tick_ns=clock)
    feed.take(beat(1.0))
    with Worker("feed", feed.run, feed.stop):
        clock.tick_ns += 1_500_000_000
        assert feed.online
        clock.tick_ns += 400_000_000
        until(feed, lambda: not feed.online)


def test_who_waits_is_told_of_what_is_new_and_of_the_end() -> None:
    feed = Feed(Peer("ipc:///nowhere"))

    async def follow() -> list[int]:
        waiting = asyncio.create_task(feed.changed(0, 20))
        await asyncio.sleep(0)
        await asyncio.to_thread(feed.take, beat())
        seen = [await waiting, await feed.changed(0, 20), await feed.changed(1, 0.01)]
        waiting = asyncio.create_task(feed.changed(1, 20))
        await asyncio.sleep(0)
        await asyncio.to_thread(feed.stop)
        return [*seen, await waiting, await feed.changed(1, 20)]

    assert asyncio.run(follow()) == [1, 1, 1, 1, 1]
    assert feed.stopped
