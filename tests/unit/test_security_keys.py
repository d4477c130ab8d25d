import json
import os
from pathlib import Path

import pytest

from shadowline.errors import KeysError
from station.security.keys import (
    check_key,
    check_name,
    make_client_pair,
    make_station_pair,
    read_client_keys,
    read_station_pair,
)
from tests.keyed import Keyring


def rewrite(path: Path, **changes: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_stations_pair_is_read_as_it_was_made(tmp_path: Path) -> None:
    made = make_station_pair(tmp_path / "keys")
    assert read_station_pair(tmp_path / "keys") == made
    assert made.public != made.private


def test_a_client_knows_itself_and_the_station(tmp_path: Path) -> None:
    station = make_station_pair(tmp_path / "keys")
    pair = make_client_pair(tmp_path / "client", "hmi", station.public)
    keys = read_client_keys(tmp_path / "client")
    assert (keys.own, keys.station) == (pair, station.public)


def test_on_the_stations_computer_its_own_keys_are_a_clients(tmp_path: Path) -> None:
    station = make_station_pair(tmp_path)
    keys = read_client_keys(tmp_path)
    assert (keys.own, keys.station) == (station, station.public)


def test_a_client_beside_the_station_comes_as_itself(tmp_path: Path) -> None:
    station = make_station_pair(tmp_path)
    pair = make_client_pair(tmp_path, "hmi", station.public)
    assert read_client_keys(tmp_path).own == pair


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_station_pair(tmp_path / "keys")
    finally:
        os.umask(before)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "station.json").stat().st_mode & 0o777 == 0o600


def test_a_second_pair_does_not_replace_the_first(tmp_path: Path) -> None:
    made = make_station_pair(tmp_path)
    with pytest.raises(KeysError, match=r"station.json: is there already.*move it away to make another"):
        make_station_pair(tmp_path)
    assert read_station_pair(tmp_path) == made


def test_a_private_key_is_not_shown(tmp_path: Path) -> None:
    station = make_station_pair(tmp_path)
    for shown in (repr(station), repr(read_client_keys(tmp_path))):
        assert station.public in shown
        assert station.private not in shown


def test_no_public_key_looks_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = make_station_pair(tmp_path / "real")
    drawn = iter([(b"-" + b"0" * 39, b"0" * 40), (real.public.encode(), real.private.encode())])
    monkeypatch.setattr("zmq.curve_keypair", lambda: next(drawn))
    assert make_station_pair(tmp_path / "keys") == real


def test_missing_keys_are_told_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"station.json: no such file: make it with station keys new$"):
        read_station_pair(tmp_path / "keys")
    with pytest.raises(KeysError, match=r"client.json: no such file: make it with station keys new --client NAME"):
        read_client_keys(tmp_path / "keys")


@pytest.mark.parametrize(("part", "mode", "mend"), [("", 0o750, "700"), ("station.json", 0o604, "600")])
def test_keys_that_others_can_read_are_refused(tmp_path: Path, part: str, mode: int, mend: str) -> None:
    make_station_pair(tmp_path / "keys")
    path = tmp_path / "keys" / part
    path.chmod(mode)
    with pytest.raises(KeysError, match=rf"{path}: others can get at it: chmod {mend} {path}$"):
        read_station_pair(tmp_path / "keys")


DAMAGES = {
    "swapped": lambda made, other: {"public_key": made.private, "private_key": made.public},
    "public for private": lambda made, other: {"private_key": made.public},
    "of another pair": lambda made, other: {"public_key": other.public},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_keys_that_are_no_pair_are_refused(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    made, other = make_station_pair(tmp_path / "keys"), make_station_pair(tmp_path / "other")
    rewrite(tmp_path / "keys" / "station.json", **damage(made, other))
    with pytest.raises(KeysError, match=r"station.json: the two keys are no pair \(swapped\?\)") as refusal:
        read_station_pair(tmp_path / "keys")
    assert made.private not in str(refusal.value)


def test_a_clients_own_key_is_not_the_stations(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keys = keyring.client("hmi")
    rewrite(keyring.client_folder("hmi") / "client.json", station_key=keys.own.public)
    with pytest.raises(KeysError, match="station_key is this client's own key"):
        read_client_keys(keyring.client_folder("hmi"))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"public_key": 5}', "[" * 10_000, "\ud800", '{"more": 1}'])
def test_a_damaged_file_is_named_and_not_cited(tmp_path: Path, text: str) -> None:
    made = make_station_pair(tmp_path)
    (tmp_path / "station.json").write_bytes((text + made.private).encode(errors="surrogatepass"))
    with pytest.raises(KeysError, match=r"station.json: damaged: put the file back") as refusal:
        read_station_pair(tmp_path)
    assert made.private not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "a" * 39, "a" * 41, "ä" * 40, "~" * 40, "#" * 40, " " + "a" * 39])
def test_what_is_no_key_is_told_so(text: str) -> None:
    with pytest.raises(KeysError, match="a key has 40 characters"):
        check_key(text)


@pytest.mark.parametrize("name", ["", "A", "../x", "a b", "-a", "a" * 33, "a\n"])
def test_what_is_no_name_is_told_so(name: str) -> None:
    with pytest.raises(KeysError, match="a client's name has 1 to 32"):
        check_name(name)


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeysError, match=r"file/keys: not a directory$"):
        make_station_pair(tmp_path / "file" / "keys")
