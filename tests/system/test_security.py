"""A real station whose sockets ask for keys, the commands that make and allow them, and peers that mean harm."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import zmq

from shadowline.errors import StationError
from station.control_protocol import Status, ask
from station.journal.protocol import Acknowledge, Cursor, Refused, Reply, Request, Where, decode_reply
from station.security.clients import revoke
from station.security.keys import read_client_keys
from tests.benchmarks.hostile import attack
from tests.keyed import Keyring, knocking
from tests.keyed_line import keyed_line


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


def test_a_watcher_on_another_computer_comes_with_its_keys(keyring: Keyring) -> None:
    keyring.client("hmi", "events")
    with keyed_line(keyring) as line:
        words = ["--endpoint", line.endpoints["events"], "--keys", str(keyring.client_folder("hmi"))]
        watching = subprocess.Popen(
            [sys.executable, "-m", "station", "watch", "--lines", *words], stdout=subprocess.PIPE, text=True
        )
        try:
            assert watching.stdout is not None
            assert "top" in watching.stdout.readline()
        finally:
            watching.kill()
            watching.communicate()


def test_revoking_cuts_off_a_listener_and_a_commander(keyring: Keyring) -> None:
    leaves, stays = keyring.client("leaves", "events", "control"), keyring.client("stays", "events")
    with (
        keyed_line(keyring) as line,
        knocking(line.endpoints["events"], zmq.SUB, leaves) as leaving,
        knocking(line.endpoints["events"], zmq.SUB, stays) as staying,
    ):
        assert leaving.poll(10_000)
        assert ask(line.endpoints["control"], Status(), keys=leaves).stage == "idle"
        revoke(keyring.folder, "leaves")
        while not line.series("station_gate_refused_total").get('{reason="revoked",socket="events"}'):
            pass
        while leaving.poll(0):
            leaving.recv_multipart()
        assert not leaving.poll(500)
        while staying.poll(0):
            staying.recv_multipart()
        assert staying.poll(10_000)
        with pytest.raises(StationError, match="does it let this client control it"):
            ask(line.endpoints["control"], Status(), 0.5, leaves)
        line.stop()
        assert (keyring.folder.parent / "log").read_text().count("all connections were cut") <= 2


def test_who_may_listen_may_not_command(keyring: Keyring) -> None:
    hmi = keyring.client("hmi", "events")
    with keyed_line(keyring) as line:
        with pytest.raises(StationError, match="no station answers"):
            ask(line.endpoints["control"], Status(), 0.5, hmi)
        assert ask(line.endpoints["control"], Status(), keys=read_client_keys(keyring.folder)).stage == "idle"
        assert line.series("station_gate_refused_total")['{reason="not allowed",socket="control"}'] >= 1


def test_a_consumer_belongs_to_its_clients_key(keyring: Keyring) -> None:
    mine, other = keyring.client("mine", "replay"), keyring.client("other", "replay")
    with (
        keyed_line(keyring) as line,
        knocking(line.endpoints["replay"], zmq.REQ, mine) as me,
        knocking(line.endpoints["replay"], zmq.REQ, other) as stranger,
    ):
        while isinstance(_ask(me, Acknowledge(1, "plc", 1)), Refused):
            pass
        assert _acknowledged(_ask(stranger, Where(2, "plc"))) is None
        assert _acknowledged(_ask(me, Where(3, "plc"))) == 1


def _ask(socket: zmq.Socket[bytes], request: Request) -> Reply:
    socket.send(msgspec.json.encode(request))
    assert socket.poll(10_000), "no answer"
    return decode_reply(socket.recv())


def _acknowledged(reply: Reply) -> int | None:
    assert isinstance(reply, Cursor)
    return reply.acknowledged


def test_a_station_with_open_keys_does_not_start(keyring: Keyring) -> None:
    (keyring.folder / "station.json").chmod(0o644)
    with (
        pytest.raises(RuntimeError, match=r"station: .*station.json: others can get at it: chmod 600"),
        keyed_line(keyring),
    ):
        pass


@pytest.mark.slow
def test_peers_that_mean_harm_do_none(keyring: Keyring) -> None:
    found = attack(keyring, messages=3000, quiet_s=2.0)
    assert found["ledger"]["announced"] == found["ledger"]["inspected"] + sum(found["ledger"]["invalid"].values())
    assert found["handles"]["after"] <= found["handles"]["before"]
    assert found["threads"]["after"] == found["threads"]["before"]
    for domain in ("events", "replay", "control"):
        assert found["messages"][domain] >= 3000
        assert found["refused"][domain]["unknown"] > 0
        assert found["refused"][domain]["too much"] > 0
    assert found["answers_after"]
