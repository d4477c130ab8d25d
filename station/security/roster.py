"""Who is known right now: the clients' files, read anew when they change. The gate thread reads, all threads ask."""

import logging
import os
from pathlib import Path

from shadowline.errors import KeysError
from station.security.clients import CLIENTS, Domain, Refusal, judge, known_clients, read_clients
from station.security.keys import read_station_pair, today

__all__ = ["Roster"]

logger = logging.getLogger(__name__)


class Roster:
    """The station's own pair, and its clients."""

    def __init__(self, folder: Path) -> None:
        """Read the keys. Raises `KeysError` for what is missing, damaged or open to others."""
        self.pair = read_station_pair(folder)
        self._folder = folder
        self._seen = self._signature()
        self._clients = known_clients(folder)

    def __len__(self) -> int:
        return len(self._clients)

    def refusal(self, public_key: str, domain: Domain) -> Refusal | None:
        """Return why this client is not let in, None where it is. Any thread.

        Who has the station's own key reads its files, and is not kept from anything.
        """
        if public_key == self.pair.public:
            return None
        return judge(self._clients, public_key, domain, today())

    def name_of(self, public_key: str) -> str:
        """Return the client's name. Any thread."""
        client = self._clients.get(public_key)
        return client.name if client else "station"

    def refresh(self) -> None:
        """Read the clients anew where a file has changed; one that is damaged lets nobody in. Gate thread."""
        seen = self._signature()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            clients, faults = read_clients(self._folder)
        except KeysError as fault:
            clients, faults = [], [str(fault)]
        self._clients = {client.public_key: client for client in clients}
        for line in faults:
            logger.error("%s; nobody is let in by it", line)
        logger.info("clients read anew: %d known", len(clients))

    def _signature(self) -> object:
        """Return what differs when a client's file does."""
        try:
            with os.scandir(self._folder / CLIENTS) as entries:
                return {
                    entry.name: (entry.stat().st_ctime_ns, entry.stat().st_size)
                    for entry in entries
                    if entry.name[0] != "."
                }
        except OSError as fault:
            return fault.errno
