"""The OPC UA gateway's outlet: a server in a thread of its own, fed by the gateway's.

OPC UA has no word by which a client says that it has a result. So an entry is settled when the server shows it: whoever
listens gets the event, and who was away asks for the results that are kept.
"""

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from shadowline.errors import ConfigError, KeysError, MissingExtra, PeerLost, StationError
from station.config import Config
from station.config.gateways import OpcUaConfig
from station.gateways.base import Entry, Turn, View
from station.worker import Worker

if TYPE_CHECKING:
    from station.gateways.opcua.running import Running

__all__ = ["OpcUaOutlet"]

_MOST_WAITING = 64
_START_S = 120.0


class OpcUaOutlet:
    """See `Outlet`. What is put waits in a queue of the server's thread, and is settled when it was shown."""

    def __init__(self, name: str, settings: OpcUaConfig, config: Config) -> None:
        """Raises `ConfigError` for a product whose recipe is not there."""
        for product, recipe in settings.products.items():
            if recipe not in config.recipe:
                raise ConfigError(f"[gateway.{name}] products.{product}: no [recipe.{recipe}]")
        self._name, self._settings, self._config = name, settings, config
        self._worker: Worker | None = None
        self._running: Running | None = None
        self._done = 0
        """The last number that was shown; what is put again is known by it."""
        self.port = 0
        """Where the server listens."""

    def open(self) -> None:
        """Begin to listen."""
        try:
            from station.gateways.opcua.running import Running
        except ImportError:
            raise MissingExtra("asyncua", "opcua") from None
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it logs every wrong step of every client
        running = Running(self._name, self._settings, self._config, self._done)
        worker = Worker("opcua", running.run, running.stop, start_s=_START_S)
        try:
            worker.__enter__()
        except OSError as fault:
            where = f"{self._settings.host}:{self._settings.port}"
            raise PeerLost(f"can't listen at {where}: {(fault.strerror or str(fault)).lower()}") from None
        except (ConfigError, KeysError):
            raise
        except StationError as fault:  # a full computer: the thread ends by itself
            raise PeerLost(str(fault)) from None
        self._worker, self._running, self.port = worker, running, running.port

    def put(self, entry: Entry) -> None:
        """Hand an entry to the server's thread."""
        self._alive().put(entry)

    def turn(self, view: View) -> Turn:
        """Hand over the view, and tell what was shown and asked meanwhile."""
        running = self._alive()
        running.look(view)
        self._done = running.done
        room = _MOST_WAITING - running.waiting if view.beat is not None else 0
        return Turn(max(0, room), running.done, running.asking.due(), running.counts)

    def close(self) -> None:
        """End all sessions and the server."""
        worker, self._worker, self._running = self._worker, None, None
        if worker is not None:
            with suppress(StationError):
                worker.__exit__(None, None, None)

    def _alive(self) -> "Running":
        if self._running is None or self._worker is None:
            raise PeerLost("the server is closed")
        if not self._worker.alive:
            raise PeerLost(f"the server ended: {self._worker.failure}")
        return self._running
