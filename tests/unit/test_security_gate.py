"""The gate's doors on loopback addresses with keys asked for: who gets in, who does not, and who is cut off."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import zmq

from shadowline.errors import ConfigError, KeysError
from station.config import SecurityConfig
from station.security.clients import DOMAINS, Domain, allow, revoke
from station.security.door import Door
from station.security.gate import Gate
from station.security.keys import ClientKeys, Pair, make_station_pair, read_client_keys
from station.worker import Worker
from tests.hostile import MORE_PARTS, shaken
from tests.keyed import Keyring, knocking

PATIENCE_S = 20.0


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


@contextmanager
def gated(keyring: Keyring | None, **changes: object) -> Iterator[Gate]:
    folder = {"folder": keyring.folder, "loopback": True} if keyring else {}
    gate = Gate(SecurityConfig.model_validate(folder | changes))
    with Worker("gate", gate.run, gate.stop) as worker:
        yield gate
        assert worker.failure is None


@contextmanager
def opened(gate: Gate, domain: Domain, endpoint: str = "tcp://127.0.0.1:*") -> Iterator[Door]:
    kind = zmq.PUB if domain == "events" else zmq.ROUTER
    with closing(gate.open(domain, kind, endpoint, f"[{domain}] endpoint")) as door:
        yield door


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    pause, late_s = threading.Event(), time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < late_s, "waited in vain"
        pause.wait(0.005)


def hears(door: Door, listening: zmq.Socket[bytes]) -> bool:
    """Publish until the listener has heard, or for ever."""

    def once() -> bool:
        if door.stale:
            door.renew()
        door.socket.send(b"news")
        return bool(listening.poll(5))

    until(once)
    return listening.recv() == b"news"


def is_answered(gate: Gate, door: Door, asking: zmq.Socket[bytes]) -> str:
    """Send one request, answer it, and return the client's name."""
    asking.send(b"may I")
    callers = gate.callers(door)
    calls = []
    until(lambda: calls.append(callers.receive(50)) or calls[-1])
    callers.answer(calls[-1], [b"yes"])
    assert asking.poll(10_000)
    assert asking.recv() == b"yes"
    return str(calls[-1].client)


def test_a_subscriber_with_keys_hears_what_is_published(keyring: Keyring) -> None:
    with gated(keyring) as gate, opened(gate, "events") as door:
        with knocking(door.endpoint, zmq.SUB, keyring.client("hmi", "events")) as listening:
            assert hears(door, listening)
        until(lambda: gate.tally.connections["events", "admitted"] == 1)


@pytest.mark.parametrize("domain", ["replay", "control"])
def test_a_request_carries_its_clients_name(keyring: Keyring, domain: Domain) -> None:
    with (
        gated(keyring) as gate,
        opened(gate, domain) as door,
        knocking(door.endpoint, zmq.REQ, keyring.client("hmi", domain)) as asking,
    ):
        assert is_answered(gate, door, asking) == "hmi"


def test_the_stations_own_keys_open_every_door(keyring: Keyring) -> None:
    own = read_client_keys(keyring.folder)
    with (
        gated(keyring) as gate,
        opened(gate, "control") as door,
        knocking(door.endpoint, zmq.REQ, own) as asking,
    ):
        assert is_answered(gate, door, asking) == "station"


def strangers(keyring: Keyring, tmp_path: Path, domain: Domain) -> dict[str, tuple[ClientKeys | None, set[str]]]:
    """Return who must not get in at `domain`, and the reasons of which one is counted."""
    revoked, expired = keyring.client("revoked", domain), keyring.client("expired", domain)
    revoke(keyring.folder, "revoked")
    path = keyring.folder / "clients" / "expired.json"
    path.write_text(path.read_text().replace('"expires": null', '"expires": "2020-01-01"'))
    elsewhere = [other for other in DOMAINS if other != domain]
    hmi = keyring.client("hmi", domain)
    other_station = make_station_pair(tmp_path / "other station").public
    mixed = Pair(hmi.own.public, expired.own.private)
    return {
        "keyless": (None, {"without keys", "unfinished"}),  # by who is first to see that the other has other means
        "unknown": (keyring.client("unknown"), {"unknown"}),
        "revoked": (revoked, {"revoked"}),
        "expired": (expired, {"expired"}),
        "elsewhere": (keyring.client("elsewhere", *elsewhere), {"not allowed"}),
        "for another station": (ClientKeys(hmi.own, other_station), {"another station's key"}),
        "with another's public key": (ClientKeys(mixed, hmi.station), {"another station's key", "malformed"}),
    }


@pytest.mark.parametrize("domain", DOMAINS)
def test_who_may_not_gets_nothing(keyring: Keyring, tmp_path: Path, domain: Domain) -> None:
    others = strangers(keyring, tmp_path, domain)
    for name, (keys, reasons) in others.items():
        with (
            gated(keyring) as gate,
            opened(gate, domain) as door,
            knocking(door.endpoint, zmq.SUB if domain == "events" else zmq.DEALER, keys) as stranger,
        ):
            if domain != "events":
                stranger.send(b"may I")
            until(lambda gate=gate, reasons=reasons: any(gate.tally.refused[domain, reason] for reason in reasons))
            if domain == "events":
                door.socket.send(b"news")
            else:
                assert gate.callers(door).receive(20) is None, name
            assert not stranger.poll(20), name
            assert gate.tally.connections[domain, "admitted"] == 0, name


def test_a_revoked_client_is_cut_off_and_the_others_come_back(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    leaves, stays = keyring.client("leaves", "events"), keyring.client("stays", "events")
    with (
        gated(keyring) as gate,
        opened(gate, "events") as door,
        knocking(door.endpoint, zmq.SUB, leaves) as leaving,
        knocking(door.endpoint, zmq.SUB, stays) as staying,
    ):
        assert hears(door, leaving)
        assert hears(door, staying)
        revoke(keyring.folder, "leaves")
        until(lambda: door.stale)
        door.renew()
        while leaving.poll(0):
            leaving.recv()
        while staying.poll(0):
            staying.recv()
        assert hears(door, staying)
        until(lambda: gate.tally.refused["events", "revoked"])
        assert hears(door, staying)
        assert not leaving.poll(20)
    assert "all connections were cut" in caplog.text


def test_what_a_revoked_client_had_sent_is_not_taken_for_a_request(keyring: Keyring) -> None:
    with (
        gated(keyring) as gate,
        opened(gate, "control") as door,
        knocking(door.endpoint, zmq.REQ, keyring.client("hmi", "control")) as asking,
    ):
        assert is_answered(gate, door, asking) == "hmi"
        asking.send(b"one more")
        assert door.socket.poll(10_000)
        revoke(keyring.folder, "hmi")
        callers = gate.callers(door)
        until(lambda: door.stale)
        door.stale = False
        assert callers.receive(10_000) is None
        assert gate.tally.refused["control", "not allowed any more"] == 1


def test_whoever_was_not_there_is_revoked_without_a_cut(keyring: Keyring, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    absent, hmi = keyring.client("absent", "events"), keyring.client("hmi", "events")
    with (
        gated(keyring) as gate,
        opened(gate, "events") as door,
        knocking(door.endpoint, zmq.SUB, hmi) as listening,
    ):
        assert hears(door, listening)
        revoke(keyring.folder, "absent")
        until(lambda: "clients read anew" in caplog.text)
        with knocking(door.endpoint, zmq.SUB, absent):
            until(lambda: gate.tally.refused["events", "revoked"])
        assert not door.stale


def test_a_client_is_allowed_while_the_station_runs(keyring: Keyring) -> None:
    keys = keyring.client("late")
    with gated(keyring) as gate, opened(gate, "events") as door:
        allow(keyring.folder, "late", keys.own.public, ["events"])

        def let_in() -> bool:
            with knocking(door.endpoint, zmq.SUB, keys):
                return gate.tally.connections["events", "admitted"] > 0

        until(let_in)


def test_a_file_that_is_damaged_while_the_station_runs_lets_nobody_in(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    keys = keyring.client("hmi", "events")
    with gated(keyring) as gate, opened(gate, "events") as door, knocking(door.endpoint, zmq.SUB, keys) as listening:
        assert hears(door, listening)
        (keyring.folder / "clients" / "hmi.json").write_text("{")
        until(lambda: door.stale)
    assert "hmi.json: damaged" in caplog.text


def test_connections_beyond_their_number_are_shut(keyring: Keyring) -> None:
    hmi = keyring.client("hmi", "events")
    with gated(keyring, max_connections=2) as gate, opened(gate, "events") as door:
        with knocking(door.endpoint, zmq.SUB, hmi) as first, knocking(door.endpoint, zmq.SUB, hmi) as second:
            assert hears(door, first)
            assert hears(door, second)
            with knocking(door.endpoint, zmq.SUB, hmi):
                until(lambda: gate.tally.refused["events", "too many"])
            assert gate.connected == {"events": 2}
        with knocking(door.endpoint, zmq.SUB, hmi) as another:
            assert hears(door, another)


def test_a_subscriber_that_says_too_much_is_shut_out(keyring: Keyring) -> None:
    with gated(keyring) as gate, opened(gate, "events") as door:
        hmi = keyring.client("hmi", "events")
        with knocking(door.endpoint, zmq.SUB, hmi) as talking:
            for number in range(2000):
                talking.subscribe(f"topic {number}")
            until(lambda: gate.tally.refused["events", "too much"])


def test_a_message_without_end_is_cut_off() -> None:
    with gated(None) as gate, opened(gate, "replay") as door, shaken(door.endpoint) as endless:
        endless.setblocking(False)

        def more() -> bool:
            with suppress(OSError):  # it takes no more, or has been cut off
                endless.send(MORE_PARTS)
            return gate.tally.connections["replay", "ended"] == 1

        until(more)
        assert gate.tally.refused["replay", "too much"] == 1
        assert gate.callers(door).receive(20) is None


def test_a_client_that_asks_too_often_is_not_answered_and_holds_nobody_up(keyring: Keyring) -> None:
    flooding, hmi = keyring.client("flooding", "replay"), keyring.client("hmi", "replay")
    with (
        gated(keyring, requests_per_s=5) as gate,
        opened(gate, "replay") as door,
        knocking(door.endpoint, zmq.DEALER, flooding) as flood,
        knocking(door.endpoint, zmq.REQ, hmi) as polite,
    ):
        callers, calls = gate.callers(door), []
        for _ in range(15):
            flood.send(b"again")
        until(lambda: calls.append(callers.receive(50)) or gate.tally.refused["replay", "too often"] > 1)
        polite.send(b"may I")
        until(lambda: calls.append(callers.receive(50)) or (calls[-1] and calls[-1].client == "hmi"))


def test_messages_of_many_parts_are_taken_whole_and_kept_short(keyring: Keyring) -> None:
    with (
        gated(keyring) as gate,
        opened(gate, "control") as door,
        knocking(door.endpoint, zmq.DEALER, keyring.client("hmi", "control")) as odd,
    ):
        callers = gate.callers(door)
        odd.send_multipart([b"part"] * 1000)
        odd.send_multipart([b"next"])
        first, second = callers.receive(10_000), callers.receive(10_000)
        assert first is not None
        assert second is not None
        assert len(first.parts) < 20
        assert second.parts == [b"next"]


def test_an_empty_message_is_a_request_of_nothing(keyring: Keyring) -> None:
    with (
        gated(None) as gate,
        opened(gate, "control", f"ipc://{keyring.folder}/socket") as door,
        knocking(door.endpoint, zmq.DEALER, None) as odd,
    ):
        odd.send(b"")
        call = gate.callers(door).receive(10_000)
        assert call is not None
        assert (call.client, call.parts) == ("", [b""])


def test_control_by_tcp_always_asks_for_keys(tmp_path: Path) -> None:
    with gated(None) as gate, pytest.raises(ConfigError, match=r"\[security\] folder is missing"):
        gate.open("control", zmq.ROUTER, "tcp://127.0.0.1:*", "[control] network")


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:*", "tcp://*:*"])
def test_beyond_this_computer_keys_are_asked_for_unasked(keyring: Keyring, endpoint: str) -> None:
    hmi = keyring.client("hmi", "events")
    with gated(keyring, loopback=False) as gate, opened(gate, "events", endpoint) as door:
        near = door.endpoint.replace("0.0.0.0", "127.0.0.1")
        with knocking(near, zmq.SUB, None) as keyless, knocking(near, zmq.SUB, hmi) as listening:
            assert hears(door, listening)
            assert not keyless.poll(20)
        assert gate.plain == []


def test_an_endpoint_that_is_taken_is_named(keyring: Keyring) -> None:
    with (
        gated(keyring) as gate,
        opened(gate, "events") as door,
        pytest.raises(ConfigError, match=rf"^\[journal\] endpoint {door.endpoint}: address already in use$"),
    ):
        gate.open("replay", zmq.ROUTER, door.endpoint, "[journal] endpoint")


def test_a_plain_socket_beyond_this_computer_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with (
        gated(None) as gate,
        closing(gate.open("events", zmq.PUB, "tcp://0.0.0.0:*", "[publish] endpoint", plain_network=True)),
    ):
        assert gate.plain == ["events"]
    assert "[publish] endpoint tcp://0.0.0.0:* is open to the network" in caplog.text


def test_a_gate_without_its_keys_does_not_begin(keyring: Keyring) -> None:
    (keyring.folder / "station.json").chmod(0o644)
    with pytest.raises(KeysError, match="chmod 600"):
        Gate(SecurityConfig(folder=keyring.folder))
