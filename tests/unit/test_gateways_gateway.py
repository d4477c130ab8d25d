"""A gateway between a station's two sockets and a peer that comes and goes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shadowline.errors import PeerLost
from station.client import Gap, Renumbered
from station.config.gateways import GatewayBase
from station.control_protocol import Coil
from station.gateways.base import Ask, Expired, Turn, View
from tests.gateway_peers import PeerDouble, carrying, fresh
from tests.journal_double import JournalDouble, StationDouble, standing
from tests.journals import wait_until

QUICK = GatewayBase(cycle_ms=1, backoff_s=0.01, backoff_max_s=0.05, breaker_failures=3)


@pytest.fixture
def journal() -> JournalDouble:
    return JournalDouble(fresh(1, 50))


@pytest.fixture
def double(tmp_path: Path, journal: JournalDouble) -> Iterator[StationDouble]:
    with standing(tmp_path, journal) as double:
        yield double


def beating(double: StationDouble, condition: Callable[[], object]) -> None:
    """Wait with heartbeats until it is true."""

    def met() -> object:
        double.beat()
        return condition()

    wait_until(met)


def test_every_result_comes_once_and_in_order(double: StationDouble, journal: JournalDouble) -> None:
    peer = PeerDouble()
    with carrying(double, peer, QUICK) as tally:
        beating(double, lambda: len(peer.numbers) == 50)
        journal.keep(*fresh(51, 60))
        double.say(*fresh(51, 60))
        beating(double, lambda: tally.carried == 60)
    assert peer.numbers == [*range(1, 61)]
    assert peer.closed
    assert (tally.expired, tally.lost, tally.reconnects) == (0, 0, 0)
    assert journal.cursors == {"gateway-plc": 60}


def test_a_gateway_that_starts_again_goes_on_where_the_peer_had_settled(
    double: StationDouble, journal: JournalDouble
) -> None:
    peer, again = PeerDouble(), PeerDouble()
    with carrying(double, peer, QUICK):
        beating(double, lambda: len(peer.numbers) == 50)
    journal.keep(*fresh(51, 70))
    with carrying(double, again, QUICK):
        beating(double, lambda: len(again.numbers) == 20)
    assert again.numbers == [*range(51, 71)]


def test_a_peer_that_was_away_gets_in_order_what_it_has_not_got(double: StationDouble, journal: JournalDouble) -> None:
    peer = PeerDouble()
    with carrying(double, peer, QUICK) as tally:
        beating(double, lambda: len(peer.numbers) == 50)
        peer.away = True
        beating(double, lambda: tally.state == "offline")
        journal.keep(*fresh(51, 5000))
        double.say(*fresh(51, 5000))
        peer.away = False
        beating(double, lambda: len(peer.numbers) == 5000)
        assert tally.state == "online"
        assert tally.reconnects >= QUICK.breaker_failures
    assert peer.numbers == [*range(1, 5001)]


def test_what_was_put_and_not_settled_is_put_again_and_the_peer_knows_it(
    double: StationDouble, journal: JournalDouble
) -> None:
    peer = PeerDouble()
    peer.mute = True
    with carrying(double, peer, QUICK) as tally:
        beating(double, lambda: peer.views and peer.opened)
        peer.away = True
        beating(double, lambda: tally.reconnects)
        peer.away = peer.mute = False
        beating(double, lambda: len(peer.numbers) == 50)
    assert peer.numbers == [*range(1, 51)]


def test_what_is_too_old_is_not_carried_but_told(double: StationDouble, journal: JournalDouble) -> None:
    journal.keep(*fresh(51, 90, age_s=100.0), *fresh(91, 95))
    peer = PeerDouble()
    with carrying(double, peer, QUICK) as tally:
        beating(double, lambda: len(peer.numbers) == 55)
        assert (tally.expired, tally.carried) == (40, 55)
    assert peer.numbers == [*range(1, 51), *range(91, 96)]
    expired = [entry for entry in peer.got if isinstance(entry, Expired)]
    assert sum(entry.inspections for entry in expired) == 40
    assert (expired[0].first, expired[-1].last) == (51, 90)


def test_losses_are_told_in_their_place(double: StationDouble, journal: JournalDouble) -> None:
    journal.keep(*fresh(55, 60))
    peer = PeerDouble()
    with carrying(double, peer, QUICK) as tally:
        beating(double, lambda: len(peer.numbers) == 56)
        assert tally.lost == 4
    assert [entry for entry in peer.got if isinstance(entry, Gap)] == [Gap(51, 54, "never reached the journal")]


def test_only_the_cameras_that_are_named_are_carried_and_the_cursor_goes_on(
    double: StationDouble, journal: JournalDouble
) -> None:
    journal.keep(*fresh(51, 60, camera="bottom"), *fresh(61, 62), *fresh(63, 80, camera="bottom"))
    peer = PeerDouble()
    with carrying(double, peer, QUICK.model_copy(update={"cameras": ("top",)})):
        beating(double, lambda: journal.cursors.get("gateway-plc") == 80)
    assert peer.numbers == [*range(1, 51), 61, 62]


def test_numbers_that_begin_anew_are_told_after_the_old_ones_are_settled(
    double: StationDouble, journal: JournalDouble
) -> None:
    peer = PeerDouble()
    with carrying(double, peer, QUICK) as tally:
        beating(double, lambda: tally.carried == 50)
        journal.id, journal.kept, journal.last, journal.cursors = "journal2", fresh(1, 5, "run2"), 5, {}
        double.run = "run2"
        beating(double, lambda: tally.carried == 55)
        beating(double, lambda: journal.cursors.get("gateway-plc") == 5)
    assert peer.numbers == [*range(1, 51), *range(1, 6)]
    assert [type(entry) for entry in peer.got[50:51]] == [Renumbered]


def test_the_peer_sees_a_station_that_is_silent(double: StationDouble) -> None:
    peer = PeerDouble()
    double.interval_s = 0.02
    with carrying(double, peer, QUICK):
        beating(double, lambda: peer.views and peer.views[-1].online)
        wait_until(lambda: not peer.views[-1].online)
        assert peer.views[-1].reject
        beating(double, lambda: peer.views[-1].online)


def test_a_request_that_nobody_answers_is_refused_to_the_peer(double: StationDouble) -> None:
    peer = PeerDouble()
    peer.asks = [Ask(7, Coil("c1"))]
    seen: list[str] = []
    with carrying(double, peer, QUICK):

        def answered() -> bool:
            seen.extend(view.answers[7] for view in peer.views if 7 in view.answers)
            return bool(seen)

        beating(double, answered)
    assert "no station answers" in seen[0]


class Fickle(PeerDouble):
    """Is lost after every entry that it has taken."""

    def turn(self, view: View) -> Turn:
        before = len(self.got)
        turn = super().turn(view)
        if len(self.got) > before:
            raise PeerLost("fickle")
        return turn


def test_a_peer_that_is_lost_a_thousand_times_has_each_result_once(
    double: StationDouble, journal: JournalDouble
) -> None:
    journal.keep(*fresh(51, 1000))
    peer, process = Fickle(room=1), psutil.Process()
    settings = GatewayBase(cycle_ms=1, backoff_s=0.0001, backoff_max_s=0.001)
    with carrying(double, peer, settings) as tally:
        beating(double, lambda: tally.reconnects >= 100)
        files, threads, mib = process.num_fds(), process.num_threads(), process.memory_info().rss >> 20
        beating(double, lambda: len(peer.numbers) == 1000)
        assert tally.reconnects >= 1000
        assert (process.num_fds(), process.num_threads()) == (files, threads)
        assert (process.memory_info().rss >> 20) - mib < 16
    assert peer.numbers == [*range(1, 1001)]
