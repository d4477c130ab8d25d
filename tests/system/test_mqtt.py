"""The MQTT gateway's outlet against a real broker that is killed, frozen, full, slow, strict and forgetful."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from station.config import Config
from station.config.gateways import MqttConfig
from station.event import InspectionEvent, decode
from station.gateways.base import Entry
from station.gateways.mqtt.outlet import MqttOutlet
from tests.carrying import Carrying
from tests.journal_double import inspection
from tests.mqtt_broker import Certificates, Heard, Listener, broker, free_port, listening, make_certificates, until

PLAIN = ("listener {port} 127.0.0.1", "allow_anonymous true")
SAFE = ("persistence true", "persistence_location {folder}/", "autosave_on_changes true", "autosave_interval 1")
TLS = (
    "listener {port} 127.0.0.1",
    "cafile {folder}/ca.pem",
    "certfile {folder}/broker.pem",
    "keyfile {folder}/broker.key",
)


def settings(port: int, **values: Any) -> MqttConfig:
    return MqttConfig.model_validate({"type": "mqtt", "port": port, "connect_s": 0.5} | values)


@contextmanager
def carrying(port: int, entries: Sequence[Entry] = (), **values: Any) -> Iterator[Carrying]:
    config = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
    outlet = MqttOutlet("mes", settings(port, **values), config)
    try:
        yield Carrying(outlet, [(entry.event, entry) for entry in entries if isinstance(entry, InspectionEvent)])
    finally:
        outlet.close()


def results(*numbers: int) -> list[InspectionEvent]:
    return [inspection(number) for number in numbers]


def numbers(heard: Sequence[Heard]) -> list[int]:
    return [message.event for one in heard if isinstance(message := decode(one.payload), InspectionEvent)]


def once(heard: Sequence[Heard]) -> list[int]:
    """Return the numbers as a consumer keeps them that goes by the key: run and number."""
    newest: dict[str, int] = {}
    kept = []
    for one in heard:
        message = decode(one.payload)
        assert isinstance(message, InspectionEvent)
        if message.event > newest.get(message.origin.run, 0):
            newest[message.origin.run] = message.event
            kept.append(message.event)
    return kept


def statuses(listener: Listener) -> list[str]:
    return [json.loads(one.payload)["gateway"] for one in listener.on("/status")]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_results_come_in_order_and_are_settled_when_acknowledged(tmp_path: Path, version: str) -> None:
    with (
        broker(tmp_path) as one,
        listening(one.port) as listener,
        carrying(one.port, results(*range(1, 301)), version=version) as loop,
    ):
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        until(lambda: len(listener.on("/inspection/top")) == 300, "the last result")
        assert numbers(listener.on("/inspection/top")) == list(range(1, 301))
        assert not loop.faults
        assert statuses(listener) == ["online"]
        loop.outlet.close()
        until(lambda: statuses(listener) == ["online", "offline"], "the good-bye")


def test_who_comes_late_finds_status_and_last_verdict(tmp_path: Path) -> None:
    with broker(tmp_path) as one, carrying(one.port, results(1, 2, 3)) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        with listening(one.port) as listener:
            until(lambda: len(listener.heard) == 2, "what is retained")
            assert {found.topic.split("/")[2]: found.retain for found in listener.heard} == {
                "status": True,
                "verdict": True,
            }
            assert json.loads(listener.on("/verdict/top")[0].payload)["event"] == 3


def test_the_will_is_said_when_the_gateway_is_cut_off(tmp_path: Path) -> None:
    with broker(tmp_path) as one, listening(one.port) as listener, carrying(one.port, results(1)) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        with carrying(one.port) as second:  # under the same name: the broker ends the first
            until(lambda: second.last.room, "the second", second.step)
            until(lambda: loop.faults, "the end of the first", loop.step)
            assert "has ended the connection" in loop.faults[0]
        until(lambda: statuses(listener).count("offline") >= 1, "the will")


def test_a_killed_broker_loses_nothing_that_was_not_acknowledged(tmp_path: Path) -> None:
    with (
        broker(tmp_path, *PLAIN, *SAFE) as one,
        listening(one.port, "+/+/inspection/#", client_id="mes", session_s=3600) as listener,
        carrying(one.port) as loop,
    ):
        for kill in range(3):
            first = 1 + 100 * kill
            loop.entries += [(number, inspection(number)) for number in range(first, first + 100)]
            until(lambda first=first: loop.done >= first + 20, "a part", loop.step)
            one.kill()
            until(lambda kill=kill: len(loop.faults) > kill, "the loss", loop.step)
            one.start()
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        until(lambda: len(once(listener.heard)) == 300, "the last result")
    assert once(listener.heard) == list(range(1, 301))


def test_a_frozen_broker_is_noticed_and_what_it_held_comes_again(tmp_path: Path) -> None:
    with broker(tmp_path) as one, listening(one.port) as listener, carrying(one.port, results(1)) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        one.freeze()
        loop.entries += [(number, inspection(number)) for number in range(2, 40)]
        until(lambda: loop.faults, "the loss", loop.step)
        assert loop.faults == [f"127.0.0.1:{one.port} acknowledges nothing for 0.5 s"]
        loop.step()
        assert loop.faults[1] == f"127.0.0.1:{one.port} does not answer within 0.5 s"
        one.thaw()
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        until(lambda: len(once(listener.on("/inspection/"))) == 39, "the last result")
    assert once(listener.on("/inspection/")) == list(range(1, 40))


def test_an_idle_frozen_broker_is_noticed_by_its_silence(tmp_path: Path) -> None:
    with broker(tmp_path) as one, carrying(one.port, results(1), keep_alive_s=1) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        one.freeze()
        until(lambda: loop.faults, "the loss", loop.step)
        one.thaw()


def test_a_port_without_a_broker_is_named() -> None:
    port = free_port()
    with carrying(port) as loop:
        loop.step()
    assert loop.faults == [f"127.0.0.1:{port}: connection refused"]


def test_a_wrong_password_is_refused_in_words(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("right\n")
    secret.chmod(0o600)
    (tmp_path / "users").write_text("")
    lines = ("listener {port} 127.0.0.1", "password_file {folder}/users")
    with broker(tmp_path, *lines) as one:
        for version in ("5", "3.1.1"):
            with carrying(one.port, user="line", password_file=secret, version=version) as loop:
                loop.step()
                assert "refuses the gateway: not authorized" in loop.faults[0]


def test_what_a_broker_does_not_let_the_gateway_say_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read #\ntopic write +/+/status\n")
    with broker(tmp_path, *PLAIN, "acl_file {folder}/acl") as one, carrying(one.port, results(1)) as loop:
        until(lambda: loop.faults, "the refusal", loop.step)
        assert loop.faults[0] == f"127.0.0.1:{one.port} refuses shadowline/line/inspection/top: not authorized"
        assert loop.done == 0


def test_a_result_longer_than_the_broker_takes_is_told_as_lost(tmp_path: Path) -> None:
    long = msgspec.structs.replace(inspection(2), detail="x" * 5000)
    with (
        broker(tmp_path, *PLAIN, "max_packet_size 4000") as one,
        listening(one.port) as listener,
        carrying(one.port, [inspection(1), long, inspection(3)]) as loop,
    ):
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        until(lambda: len(listener.on("/inspection/")) == 2, "the results")
        assert numbers(listener.on("/inspection/")) == [1, 3]
        gap = json.loads(listener.on("/gap")[0].payload)
        assert (gap["first"], gap["last"]) == (2, 2)
        assert "longer than" in gap["reason"]
        assert loop.last.counts["too_long"] == 1


def test_results_wait_for_a_consumer_that_a_broker_has_forgotten(tmp_path: Path) -> None:
    """The gateway comes back first to a broker that has lost the consumer's session: nothing goes to nobody."""
    with broker(tmp_path) as one, carrying(one.port, keep_unheard=True) as loop:
        with listening(one.port, "+/+/inspection/#", client_id="mes", session_s=3600):
            pass
        loop.entries += [(number, inspection(number)) for number in range(1, 51)]
        one.kill()
        until(lambda: loop.faults, "the loss", loop.step)
        one.start()
        until(lambda: "has no subscriber" in loop.faults[-1], "the forgotten session", loop.step)
        assert loop.done == 0
        with listening(one.port, "+/+/inspection/#", client_id="mes", session_s=3600) as listener:
            until(lambda: loop.is_done, "the acknowledgement", loop.step)
            until(lambda: len(once(listener.heard)) == 50, "the last result")
            assert once(listener.heard) == list(range(1, 51))


def test_results_that_nobody_hears_are_counted(tmp_path: Path) -> None:
    with broker(tmp_path) as one, carrying(one.port, results(1, 2, 3)) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        assert loop.last.counts["unheard"] == 3


@pytest.mark.parametrize(
    "said",
    [
        bytes.fromhex("30060002ff610000"),  # a topic that is no UTF-8
        bytes.fromhex("400100"),  # half an acknowledgement
        bytes.fromhex("9003000101"),  # the answer to a subscription that never was
        bytes.fromhex("30ffffffff7f"),  # a length of five bytes
        bytes.fromhex("1000"),  # a client's word
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_no_broker_is_a_fault_and_nothing_worse(said: bytes) -> None:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(bytes.fromhex("2003000000") + said)

    with socket.create_server(("127.0.0.1", 0)) as server, carrying(server.getsockname()[1], results(1)) as loop:
        serving = threading.Thread(target=serve)
        serving.start()
        until(lambda: loop.faults, "the fault", loop.step)
        serving.join()
    assert loop.done == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def folder(made: Certificates, tmp_path: Path) -> Path:
    for file in made.ca.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(0o600)
    return tmp_path


def tls_of(folder: Path, ca: str = "ca", own: str = "") -> dict[str, Path]:
    certificate = {"certificate": folder / f"{own}.pem", "key": folder / f"{own}.key"} if own else {}
    return {"ca": folder / f"{ca}.pem", **certificate}


def test_tls_both_sides_with_certificates_understand_each_other(folder: Path) -> None:
    def prepare(client: Any) -> None:
        client.tls_set(str(folder / "ca.pem"), str(folder / "gateway.pem"), str(folder / "gateway.key"))

    lines = (*TLS, "require_certificate true", "use_identity_as_username true")
    with (
        broker(folder, *lines) as one,
        listening(one.port, prepare=prepare) as listener,
        carrying(one.port, results(*range(1, 101)), tls=tls_of(folder, own="gateway")) as loop,
    ):
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        until(lambda: len(listener.on("/inspection/")) == 100, "the last result")
        assert not loop.faults


@pytest.mark.parametrize(
    ("lines", "values", "said"),
    [
        ((), {"ca": "other_ca"}, "certificate can't be trusted: "),
        (("expired",), {}, "certificate can't be trusted: certificate has expired"),
        (("require_certificate true",), {}, "does it ask for the gateway's own certificate, and is that valid?"),
        (
            ("require_certificate true",),
            {"own": "expired"},
            "does it ask for the gateway's own certificate, and is that valid?",
        ),
    ],
)
def test_wrong_certificates_are_refused_in_words(
    folder: Path, lines: tuple[str, ...], values: dict[str, str], said: str
) -> None:
    mine = tuple(line.replace("broker", "expired") for line in TLS) if lines == ("expired",) else (*TLS, *lines)
    with (
        broker(folder, *mine, "allow_anonymous true") as one,
        carrying(one.port, tls=tls_of(folder, **values)) as loop,
    ):
        until(lambda: loop.faults, "the refusal", loop.step)
        assert said in loop.faults[0]


def test_a_certificate_for_another_host_is_refused(folder: Path) -> None:
    with (
        broker(folder, *TLS, "allow_anonymous true") as one,
        carrying(one.port, host="localhost", tls=tls_of(folder)) as loop,
    ):
        loop.step()
        assert "certificate can't be trusted: Hostname mismatch" in loop.faults[0]


def test_a_broker_without_tls_is_refused(folder: Path) -> None:
    with broker(folder) as one, carrying(one.port, tls=tls_of(folder)) as loop:
        loop.step()
        assert loop.faults


@pytest.mark.parametrize("format", ["json", "sparkplug"])
def test_reconnects_leave_nothing_behind(tmp_path: Path, format: str) -> None:
    """100 times; `python -m tests.benchmarks.gateways_mqtt reconnects` does it a thousand times, with TLS and kills."""
    with broker(tmp_path) as one, carrying(one.port, format=format) as loop:
        me = psutil.Process()
        before = me.num_fds(), me.num_threads()
        for number in range(1, 101):
            loop.entries.append((number, inspection(number)))
            loop.close()
            until(lambda: loop.is_done, "the acknowledgement", loop.step)
        loop.close()
        assert not loop.faults
        assert (me.num_fds(), me.num_threads()) == before
        until(lambda: one.connections == 0, "the end of all sessions")
