"""Folders of keys for tests, and sockets that come with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from station.security.clients import Domain, allow
from station.security.keys import ClientKeys, Pair, make_client_pair, make_station_pair, read_client_keys

__all__ = ["Keyring", "knocking"]


class Keyring:
    """The station's folder of keys in `folder`, and those of its clients beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "keys"
        self.station: Pair = make_station_pair(self.folder)

    def client(self, name: str, *may: Domain) -> ClientKeys:
        """Make a client's keys, and allow it where it may something."""
        folder = self.client_folder(name)
        pair = make_client_pair(folder, name, self.station.public)
        if may:
            allow(self.folder, name, pair.public, may)
        return read_client_keys(folder)

    def client_folder(self, name: str) -> Path:
        return self.folder.with_name(f"client-{name}")


@contextmanager
def knocking(endpoint: str, kind: int, keys: ClientKeys | None) -> Iterator[zmq.Socket[bytes]]:
    """Yield a socket that comes to `endpoint` with `keys`; a SUB socket hears all that it is let hear."""
    with zmq.Context(io_threads=1) as context, context.socket(kind) as socket:
        socket.linger = 0
        socket.reconnect_ivl = 20
        if keys is not None:
            keys.prepare(socket)
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect(endpoint)
        yield socket
