from contextlib import closing
from pathlib import Path

import pytest
import zmq

from shadowline.errors import ConfigError, KeysError, StationError
from station.client import Peer
from station.command.peer import connect, find_control, find_peer
from station.config import SecurityConfig
from station.security.gate import Gate
from station.security.keys import read_client_keys
from station.worker import Worker
from tests.keyed import Keyring

CAMERA = '[[camera]]\nname = "top"\ntype = "simulated"\n'
BEYOND = '[publish]\nendpoint = "tcp://0.0.0.0:7000"\n[security]\nfolder = "keys"\n'


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(CAMERA + text)
    return path


def test_without_a_file_the_station_is_where_it_usually_is(tmp_path: Path) -> None:
    assert find_peer("publish", tmp_path / "none.toml", None, None) == Peer("tcp://127.0.0.1:5560", None)


def test_the_file_says_where_it_is_and_which_keys_are_needed(tmp_path: Path, keyring: Keyring) -> None:
    peer = find_peer("publish", write(tmp_path, BEYOND), None, None)
    assert peer == Peer("tcp://127.0.0.1:7000", read_client_keys(keyring.folder))


def test_a_local_station_needs_no_keys(tmp_path: Path) -> None:
    text = '[publish]\nendpoint = "ipc:///run/a"\n[security]\nfolder = "none"\n'
    assert find_peer("publish", write(tmp_path, text), None, None) == Peer("ipc:///run/a", None)


def test_options_win_over_the_file(tmp_path: Path, keyring: Keyring) -> None:
    keys = keyring.client("hmi")
    path = write(tmp_path, BEYOND)
    assert find_peer("publish", path, "tcp://far:1", keyring.client_folder("hmi")) == Peer("tcp://far:1", keys)
    assert find_peer("publish", path, None, keyring.client_folder("hmi")).keys == keys
    assert find_peer("publish", path, "tcp://far:1", None) == Peer("tcp://far:1", None)


def test_a_journal_that_is_not_kept_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[journal\] folder is missing"):
        find_peer("journal", write(tmp_path, ""), None, None)


def test_control_is_local_unless_said_otherwise(tmp_path: Path, keyring: Keyring) -> None:
    path = write(tmp_path, '[control]\nendpoint = "ipc:///run/c"\n')
    assert find_control(path, None, None) == Peer("ipc:///run/c", None)
    assert find_control(path, "tcp://far:1", keyring.folder) == Peer("tcp://far:1", read_client_keys(keyring.folder))


def test_a_folder_without_keys_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="make it with station keys new"):
        find_peer("publish", tmp_path / "none.toml", "tcp://far:1", tmp_path)


@pytest.mark.parametrize("allowed", [True, False])
def test_who_is_not_let_in_is_told_so(keyring: Keyring, allowed: bool) -> None:
    keys = keyring.client("hmi", *(("events",) if allowed else ()))
    gate = Gate(SecurityConfig(folder=keyring.folder, loopback=True))
    with (
        Worker("gate", gate.run, gate.stop),
        closing(gate.open("events", zmq.PUB, "tcp://127.0.0.1:*", "[publish] endpoint")) as door,
        zmq.Context(io_threads=1) as context,
    ):
        for peer, let_in in ((Peer(door.endpoint, keys), allowed), (Peer(door.endpoint, None), False)):
            with context.socket(zmq.SUB) as socket:
                socket.linger = 0
                if let_in:
                    connect(socket, peer)
                else:
                    with pytest.raises(StationError, match="not let in: station keys list"):
                        connect(socket, peer)


def test_what_is_no_endpoint_is_told_so() -> None:
    with (
        zmq.Context(io_threads=1) as context,
        context.socket(zmq.SUB) as socket,
        pytest.raises(ConfigError, match="nonsense: can't be connected to"),
    ):
        connect(socket, Peer("nonsense"))
