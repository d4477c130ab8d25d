"""The server's thread: an event loop that shows, in order, what the gateway's thread hands over."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from asyncua import Server

from station.client import Gap, Renumbered
from station.config import Config
from station.config.gateways import OpcUaConfig
from station.gateways.base import Entry, Expired, View
from station.gateways.opcua.asking import Asking
from station.gateways.opcua.desk import Desk
from station.gateways.opcua.server import serving, tick

__all__ = ["Running"]

_TICK_S = 1.0
_MOST_VIEWS = 2
_END: Final = None


class Running:
    """Runs in a `Worker`, from listening to the end of the last session."""

    def __init__(self, name: str, settings: OpcUaConfig, config: Config, done: int) -> None:
        """`done` is the last number that was shown before."""
        self.asking = Asking(settings.command_s)
        self.done = done
        self.counts: dict[str, int] = {}
        self.port = 0
        self._name, self._settings, self._config = name, settings, config
        self._stopped = False
        self._put = self._taken = self._looked = self._seen = 0

    @property
    def waiting(self) -> int:
        """Entries that were put and are not shown yet."""
        return self._put - self._taken

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until stopped. Raises as `serving` does."""
        asyncio.run(self._serve(ready))

    def put(self, entry: Entry) -> None:
        """Hand over an entry. The gateway's thread."""
        self._put += 1
        self._loop.call_soon_threadsafe(self._queue.put_nowait, entry)

    def look(self, view: View) -> None:
        """Hand over a view; one that says nothing new but the time is left out while others wait. Gateway's thread."""
        if self._looked - self._seen < _MOST_VIEWS or view.answers:
            self._looked += 1
            self._loop.call_soon_threadsafe(self._queue.put_nowait, view)

    def stop(self) -> None:
        """Let it end when what waits is shown. Any thread."""
        self._stopped = True
        with suppress(RuntimeError, AttributeError):  # it ended by itself, or never began
            self._loop.call_soon_threadsafe(self._queue.put_nowait, _END)

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Entry | View | None] = asyncio.Queue()
        async with serving(self._name, self._settings, self._config, self.asking) as (server, desk):
            self.port = server.bserver.port
            if self._stopped:
                return
            ready()
            await self._pump(server, desk)

    async def _pump(self, server: Server, desk: Desk) -> None:
        due_s = 0.0
        while (item := await self._queue.get()) is not _END:
            if isinstance(item, View):
                self._seen += 1
                await desk.look(item)
            else:
                await self._take(item, desk)
            if self._loop.time() >= due_s:
                due_s = self._loop.time() + _TICK_S
                await tick(server)

    async def _take(self, entry: Entry, desk: Desk) -> None:
        number = _number(entry)
        if number is None or number > self.done:
            await desk.take(entry)
            self.done = number or 0
            self.counts = dict(desk.counts)
        self._taken += 1


def _number(entry: Entry) -> int | None:
    """Return the number that settles `entry`; None where numbers begin anew."""
    match entry:
        case Gap() | Expired():
            return entry.last
        case Renumbered():
            return None
        case _:
            return entry.event
