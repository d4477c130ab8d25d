"""Pairs of CURVE keys, of the station and of its clients, in a folder open to its owner alone. Pure, light to import.

The folder holds `station.json` on the station's computer, `client.json` on a client's. A private key goes from its file
to the socket, and is shown nowhere.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import zmq
from zmq.utils import z85

from shadowline.errors import KeysError
from station.security.private_files import check_private, read_record, write_record

__all__ = [
    "ClientKeys",
    "Pair",
    "check_key",
    "check_name",
    "make_client_pair",
    "make_station_pair",
    "read_client_keys",
    "read_station_pair",
    "today",
]

_STATION, _CLIENT = "station.json", "client.json"
_KEY_BYTES = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class Pair:
    """A key that others may see, and its private counterpart."""

    public: str
    private: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client needs: its own pair, and the public key by which it knows the station."""

    own: Pair
    station: str

    def prepare(self, socket: zmq.Socket[bytes]) -> None:
        """Let `socket`, which is not connected yet, speak encrypted, and with this station alone."""
        socket.curve_publickey = self.own.public.encode()
        socket.curve_secretkey = self.own.private.encode()
        socket.curve_serverkey = self.station.encode()


class _StationFile(msgspec.Struct, forbid_unknown_fields=True):
    public_key: str
    private_key: str
    made: date


class _ClientFile(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    public_key: str
    private_key: str
    station_key: str
    made: date


def make_station_pair(folder: Path) -> Pair:
    """Make the station's pair. Raises `KeysError` where there is one, or no file can be made."""
    return _make(folder / _STATION, lambda pair: _StationFile(pair.public, pair.private, today()))


def make_client_pair(folder: Path, name: str, station_key: str) -> Pair:
    """Make the pair of client `name`, which knows the station by `station_key`. Raises as `make_station_pair`."""
    check_name(name)
    check_key(station_key)
    return _make(folder / _CLIENT, lambda pair: _ClientFile(name, pair.public, pair.private, station_key, today()))


def read_station_pair(folder: Path) -> Pair:
    """Return the station's pair. Raises `KeysError` where it is missing, damaged or open to others."""
    path = _find(folder / _STATION, "station keys new")
    record = read_record(path, _StationFile)
    return _matching(path, record.public_key, record.private_key)


def read_client_keys(folder: Path) -> ClientKeys:
    """Return a client's keys; without any, the station's own, for who can read these. Raises `KeysError`."""
    path = folder / _CLIENT
    if (folder / _STATION).exists() and not path.exists():
        pair = read_station_pair(folder)
        return ClientKeys(pair, pair.public)
    record = read_record(_find(path, "station keys new --client NAME --station KEY"), _ClientFile)
    pair = _matching(path, record.public_key, record.private_key)
    check_key(record.station_key, str(path))
    if record.station_key == record.public_key:
        raise KeysError(f"{path}: station_key is this client's own key: put the station's public key there")
    return ClientKeys(pair, record.station_key)


def check_key(text: str, whose: str = "the key") -> None:
    """Raise `KeysError` unless `text` is written as a key is."""
    try:
        decoded = z85.decode(text.encode())
    except (KeyError, ValueError, struct.error):
        decoded = b""
    if len(decoded) != _KEY_BYTES:
        raise KeysError(f"{whose}: a key has 40 characters, as station keys new prints it: give it in single quotes")


def check_name(text: str) -> None:
    """Raise `KeysError` unless `text` may name a client."""
    if not _NAME.match(text):
        raise KeysError(f"{text!r}: a client's name has 1 to 32 of a-z, 0-9, _ and -")


def today() -> date:
    """Return the date in UTC."""
    return datetime.now(UTC).date()


def _make(path: Path, record_of: Callable[[Pair], msgspec.Struct]) -> Pair:
    if path.exists():
        raise KeysError(f"{path}: is there already, and others know its public key: move it away to make another")
    pair = _new_pair()
    write_record(path, record_of(pair))
    return pair


def _new_pair() -> Pair:
    """Draw a pair whose public key no command line takes for an option."""
    while True:
        public, private = (key.decode() for key in zmq.curve_keypair())
        if not public.startswith("-"):
            return Pair(public, private)


def _find(path: Path, command: str) -> Path:
    if path.parent.exists():
        check_private(path.parent)
    if not path.exists():
        raise KeysError(f"{path}: no such file: make it with {command}")
    return path


def _matching(path: Path, public: str, private: str) -> Pair:
    """Return the pair, or raise `KeysError` where one key is not the other's: swapped, mixed up or damaged."""
    check_key(public, str(path))
    check_key(private, str(path))
    if zmq.curve_public(private.encode()).decode() != public:
        raise KeysError(f"{path}: the two keys are no pair (swapped?): put the file back from a copy, or make it anew")
    return Pair(public, private)
