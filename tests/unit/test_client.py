"""The client against a station's two sockets, of which the journal answers from a list."""

import math
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from shadowline.errors import ConfigError, StationError
from station.client import Client, Gap, Item, Peer, Renumbered, Silence
from station.event import Heartbeat, InspectionEvent, encode
from station.journal.protocol import Read
from station.security.keys import ClientKeys, Pair
from tests.journal_double import JournalDouble, StationDouble, inspection, standing


def messages(first: int, last: int, run: str = "run1") -> list[InspectionEvent]:
    return [inspection(event, run) for event in range(first, last + 1)]


@pytest.fixture
def journal() -> JournalDouble:
    return JournalDouble(messages(1, 250))


@pytest.fixture
def double(tmp_path: Path, journal: JournalDouble) -> Iterator[StationDouble]:
    with standing(tmp_path, journal) as double:
        yield double


def follow(client: Client, double: StationDouble, enough: Callable[[list[Item]], bool]) -> list[object]:
    """Take items, with a heartbeat whenever nothing comes, until it is enough; events as their numbers."""
    items: list[Item] = []
    for _ in range(500):
        if (item := client.receive(0.02)) is not None:
            items.append(item)
        else:
            double.beat()
        if enough(items):
            return [one.event if isinstance(one, InspectionEvent) else one for one in items]
    raise AssertionError(f"only {items[-3:]}")


def so_many(count: int) -> Callable[[list[Item]], bool]:
    return lambda items: len(items) >= count


def test_from_the_oldest_message_on_to_the_live_ones(double: StationDouble) -> None:
    with Client(double.live, double.replay, start="first") as client:
        assert follow(client, double, so_many(250)) == [*range(1, 251)]
        assert client.caught_up
        double.say(*messages(251, 260))
        assert follow(client, double, so_many(10)) == [*range(251, 261)]
        assert client.journal == "journal1"


def test_from_a_number_on(double: StationDouble) -> None:
    with Client(double.live, double.replay, start=200) as client:
        assert follow(client, double, so_many(51)) == [*range(200, 251)]


def test_from_now_on_nothing_of_the_past_comes(double: StationDouble) -> None:
    with Client(double.live, double.replay) as client:
        follow(client, double, lambda items: client.journal != "")
        double.say(*messages(251, 253))
        assert follow(client, double, so_many(3)) == [251, 252, 253]


def test_lost_live_messages_come_in_their_place_as_soon_as_they_are_on_disk(
    double: StationDouble, journal: JournalDouble
) -> None:
    with Client(double.live, double.replay, start=250) as client:
        follow(client, double, so_many(1))
        double.say(*messages(251, 252), *messages(258, 259))
        assert follow(client, double, so_many(2)) == [251, 252]
        journal.keep(*messages(251, 255))
        journal.keep(*messages(257, 257))
        assert follow(client, double, so_many(7)) == [
            *(253, 254, 255, Gap(256, 256, "never reached the journal"), 257, 258, 259)
        ]


def test_a_consumer_goes_on_behind_what_it_acknowledged(double: StationDouble, journal: JournalDouble) -> None:
    with Client(double.live, double.replay, start="first", consumer="mes") as client:
        for _ in range(120):
            item = client.receive(5)
            assert isinstance(item, InspectionEvent)
            client.acknowledge(item.event)
    assert journal.cursors == {"mes": 120}
    with Client(double.live, double.replay, start="first", consumer="mes") as client:
        assert follow(client, double, so_many(1)) == [121]


def test_what_is_acknowledged_before_it_is_on_disk_is_told_again_until_it_is(
    double: StationDouble, journal: JournalDouble
) -> None:
    with Client(double.live, double.replay, start=250, consumer="mes") as client:
        follow(client, double, so_many(1))
        double.say(*messages(251, 251))
        follow(client, double, so_many(1))
        client.acknowledge(251)
        follow(client, double, lambda items: len(journal.asked) > 3)
        assert not journal.cursors
        journal.keep(*messages(251, 251))
    assert journal.cursors == {"mes": 251}


def test_a_new_consumer_that_begins_now_is_known_from_then_on(double: StationDouble, journal: JournalDouble) -> None:
    with Client(double.live, double.replay, consumer="mes"):
        pass
    assert journal.cursors == {"mes": 250}


def test_another_journal_is_told_and_forgets_what_was_acknowledged(
    double: StationDouble, journal: JournalDouble
) -> None:
    with Client(double.live, double.replay, start=249, consumer="mes") as client:
        assert follow(client, double, so_many(2)) == [249, 250]
        journal.id, journal.last, journal.kept = "journal2", 0, []
        journal.keep(*messages(1, 3, "run2"))
        double.run = "run2"
        assert follow(client, double, so_many(4)) == [Renumbered("the station keeps another journal"), 1, 2, 3]
        client.acknowledge(2)
    assert journal.cursors == {"mes": 2}


def test_a_number_and_its_journal_go_together(double: StationDouble, journal: JournalDouble) -> None:
    found: list[tuple[int | None, str]] = []
    with Client(double.live, double.replay, start=249) as client:
        follow(client, double, so_many(2))
        double.beat()
        assert client.receive(0.5) is None
        double.say(*messages(252, 253))
        journal.id, journal.last, journal.kept = "journal2", 0, []
        journal.keep(*messages(1, 3, "run2"))
        double.run = "run2"
        while not found or found[-1][0] != 3:
            if (item := client.receive(0.02)) is None:
                double.beat()
            else:
                found.append((getattr(item, "event", None), client.journal))
    assert found[:3] == [(None, "journal1"), (252, "journal1"), (253, "journal1")]
    assert found[4:] == [(1, "journal2"), (2, "journal2"), (3, "journal2")]


def test_numbers_of_another_journal_are_not_taken_for_the_own(double: StationDouble) -> None:
    with Client(double.live, double.replay, start=100, journal="journal0") as client:
        items = follow(client, double, so_many(251))
    assert items == [Renumbered("the station keeps another journal"), *range(1, 251)]


def test_without_a_journal_gaps_are_told_at_once(tmp_path: Path) -> None:
    with standing(tmp_path, None) as double, Client(double.live) as client:
        follow(client, double, lambda items: not client.silent and client.receive(0.02) is None)
        double.say(*messages(5, 6), *messages(9, 9))
        gap = Gap(7, 8, "not heard, and there is no journal to read it from")
        assert follow(client, double, so_many(4)) == [5, 6, gap, 9]


def test_heartbeats_come_when_they_are_asked_for(double: StationDouble) -> None:
    with Client(double.live, double.replay, heartbeats=True) as client:
        assert follow(client, double, so_many(1))
        assert not client.silent


def test_silence_is_told_once_and_ends_with_the_next_message(double: StationDouble) -> None:
    double.interval_s = 0.05
    with Client(double.live, double.replay) as client:
        follow(client, double, lambda items: client.journal != "")
        assert client.receive(0.01) is None
        silence = client.receive(5)
        assert isinstance(silence, Silence)
        assert (silence.endpoint, silence.seconds >= 0.15, client.silent) == (double.live, True, True)
        assert client.receive(1.0) is None, "told once, though it connects anew"
        double.say(*messages(251, 251))
        assert follow(client, double, so_many(1)) == [251]
        assert not client.silent


def test_it_comes_back_after_a_stranger_in_the_stations_place(tmp_path: Path) -> None:
    with ExitStack() as entered:
        with standing(tmp_path, None) as double:
            double.interval_s = 0.02
            client = entered.enter_context(Client(double.live))
            follow(client, double, lambda items: len(items) == 0 and not client.silent)
        place = tmp_path / "live"
        place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.bind(str(place))
            stranger.listen()
            speaking, _ = stranger.accept()
            with speaking:
                speaking.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
                assert isinstance(client.receive(5), Silence)
        place.unlink()
        with standing(tmp_path, None) as double:
            follow(client, double, lambda items: not client.silent)


def test_a_journal_that_does_not_give_what_is_missing_is_told(double: StationDouble, journal: JournalDouble) -> None:
    double.interval_s = 0.05
    with Client(double.live, double.replay, start=250, heartbeats=True) as client:
        follow(client, double, so_many(2))
        journal.mute = True
        double.say(*messages(252, 252))
        items = follow(client, double, lambda items: isinstance(items[-1:] and items[-1], Silence))
        assert isinstance(items[-1], Silence)
        assert items[-1].endpoint == double.replay
        assert all(isinstance(item, Heartbeat) for item in items[:-1])
        journal.mute = False
        journal.keep(*messages(251, 252))
        numbers = follow(client, double, lambda items: isinstance(items[-1:] and items[-1], InspectionEvent))
        assert numbers[-1] in (251, 252)


def test_a_refusal_is_logged_once_and_asked_again(
    double: StationDouble, journal: JournalDouble, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(double.live, double.replay, start=250) as client:
        follow(client, double, so_many(1))
        journal.refuse = "come back later"
        double.say(*messages(252, 252))
        follow(client, double, lambda items: "come back later" in caplog.text)
        journal.refuse = ""
        journal.keep(*messages(251, 252))
        assert 251 in follow(client, double, lambda items: any(isinstance(one, InspectionEvent) for one in items))
    assert caplog.text.count("come back later") == 1


GARBAGE = [
    [b""],
    [b"\xff\xfe"],
    [b"[" * 100_000],
    [b"{}"],
    [b'{"reply":"page"}', b"x"],
    [b'{"reply":"page","id":99999,"journal":"a","first":1,"last":9,"next":10}', b"{}"],
    [b'{"reply":"refused","id":0,"error":"?"}'],
    [b'{"reply":"cursor","id":7,"journal":"","first":0,"last":0,"acknowledged":99}'],
]


@pytest.mark.parametrize("answer", GARBAGE, ids=range(len(GARBAGE)))
def test_an_answer_that_is_none_is_skipped(
    double: StationDouble, journal: JournalDouble, answer: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("station.client.replay._ANSWER_S", 0.05)
    with Client(double.live, double.replay, start="first") as client:
        journal.garble = answer
        assert follow(client, double, so_many(250)) == [*range(1, 251)]


def test_lines_of_a_page_that_can_not_be_read_are_told_as_a_gap(
    double: StationDouble, journal: JournalDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = journal.answer

    def spoil(request: Read) -> object:
        reply, parts = answer(request)
        return reply, [part.replace(b'"event":7,', b'"event":"7",') for part in parts]

    monkeypatch.setattr(journal, "answer", spoil)
    with Client(double.live, double.replay, start="first") as client:
        items = follow(client, double, so_many(250))
        assert items == [*range(1, 7), Gap(7, 7, "the journal's copy can't be read"), *range(8, 251)]
        assert client.skipped == 1


@pytest.mark.parametrize(
    "payload", [b"", b"\x00" * 50, b"[" * 50_000, b'{"schema":"shadowline.new/9","event":251}', b"7"]
)
def test_a_live_message_that_is_none_is_skipped_and_counted(double: StationDouble, payload: bytes) -> None:
    with Client(double.live, double.replay, start=250) as client:
        follow(client, double, so_many(1))
        double.publisher.send_multipart([b"inspection.top", payload])
        double.publisher.send(payload)
        double.say(inspection(0), inspection(-5), *messages(251, 251))
        assert follow(client, double, so_many(1)) == [251]
        assert client.skipped == 4


def test_a_snapshot_holds_the_newest_message_of_each_topic(double: StationDouble, journal: JournalDouble) -> None:
    journal.keep(inspection(251, camera="bottom"))
    with Client(double.live, double.replay) as client:
        assert {message.event for message in client.snapshot() if isinstance(message, InspectionEvent)} == {250, 251}


def refused(*ends: str | Peer, **how: object) -> str:
    with pytest.raises((ConfigError, StationError)) as caught, Client(*ends, timeout_s=0.3, **how):  # type: ignore[arg-type]
        pass
    return str(caught.value)


def test_a_wrong_endpoint_is_one_clear_line(double: StationDouble, tmp_path: Path) -> None:
    assert "no station answers there" in refused(f"ipc://{tmp_path}/nobody")
    assert "can't be connected to" in refused("tcp://nowhere")
    assert "are the endpoints exchanged" in refused(double.replay, double.live)
    keys = ClientKeys(Pair(*(key.decode() for key in zmq.curve_keypair())), zmq.curve_keypair()[0].decode())
    assert "does it ask for other keys?" in refused(Peer(double.live, keys))


def test_with_keys_it_speaks_to_a_station_that_asks_for_them() -> None:
    (public, private), own = zmq.curve_keypair(), Pair(*(key.decode() for key in zmq.curve_keypair()))
    with zmq.Context(io_threads=1) as context, context.socket(zmq.XPUB) as publisher:
        publisher.linger = 0
        publisher.curve_server, publisher.curve_publickey, publisher.curve_secretkey = True, public, private
        endpoint = f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}"
        with Client(Peer(endpoint, ClientKeys(own, public.decode()))) as client:
            assert publisher.recv() == b"\x01", "it subscribes"
            publisher.send_multipart([b"inspection.top", encode(inspection(5))])
            assert client.receive(5) == inspection(5)


def test_a_journal_that_refuses_or_is_silent_at_the_begin_is_one_clear_line(
    double: StationDouble, journal: JournalDouble
) -> None:
    journal.refuse = "not for you"
    assert "refused: not for you" in refused(double.live, double.replay, start="first")
    journal.mute = True
    assert "no journal answers there" in refused(double.live, double.replay, consumer="mes")


def test_contradictions_are_refused(double: StationDouble) -> None:
    assert "needs the journal's endpoint" in refused(double.live, start="first")
    assert "numbered from 1" in refused(double.live, double.replay, start=0)
    with Client(double.live) as client:
        for deed in (lambda: client.acknowledge(1), client.snapshot):
            with pytest.raises(ConfigError):
                deed()


def test_it_waits_for_a_station_as_long_as_it_is_told_to(tmp_path: Path) -> None:
    with standing(tmp_path, None) as double, Client(double.live, timeout_s=math.inf) as client:
        assert client.receive(0) is None


def test_its_import_is_light() -> None:
    code = "import sys, station.client; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "zmq" in loaded
    assert not {"numpy", "cv2", "numba", "onnxruntime", "pydantic", "typer"} & set(loaded)
