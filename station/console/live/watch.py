"""Follows the line for the live pages while somebody looks at one; each update is encoded once. Event loop."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

from station.clock import Clock, HostClock
from station.console.live.gateways import GatewayView, ask_gateways
from station.console.live.latest import Latest
from station.console.live.pictures import Pictures
from station.console.live.view import encode_line, view_line
from station.console.web import Console
from station.control_protocol import live_folder

__all__ = ["LiveLine", "open_live"]

_TURN_S: Final = 0.04
_CHANGE_NS: Final = 200_000_000
_BEAT_NS: Final = 500_000_000
"""How often the page is told when nothing changes: ages do, and it hears that the console is there."""
_GATEWAYS_S: Final = 5.0


class LiveLine:
    """The newest pictures, and a stream of updates for any number of browsers; does nothing while there is none."""

    def __init__(self, console: Console, clock: Clock | None = None) -> None:
        config = console.config
        self.cameras = tuple(camera.name for camera in config.camera)
        self.archived = config.archive.folder is not None
        self.pictured = self.archived and config.archive.live_hz > 0
        self._clock = clock or HostClock()
        self.pictures = Pictures(live_folder(config), self.cameras, self._clock)
        self._feed, self._workers, self._gateways = console.feed, console.workers, config.gateway
        self._told_gateways: tuple[GatewayView, ...] = ()
        self._latest = Latest()
        self._watchers = 0
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def updates(self) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events, twice a second at least."""
        self._watchers += 1
        if self._watchers == 1:
            self._tasks = (
                self._workers.task("live", self._watch()),
                self._workers.task("gateways", self._watch_gateways()),
            )
        try:
            async with aclosing(self._latest.follow()) as posts:
                async for update in posts:
                    yield update
        finally:
            self._watchers -= 1
            if not self._watchers:
                for task in self._tasks:
                    task.cancel()

    async def _watch(self) -> None:
        version, told_ns = -1, 0
        while True:
            tick_ns, news = self._clock.tick_ns(), self.pictures.look()
            changed = self._feed.version != version
            if news or tick_ns - told_ns > (_CHANGE_NS if changed else _BEAT_NS):
                told_ns, version = tick_ns, self._feed.version
                self._latest.post(self._encode(tick_ns))
            await asyncio.sleep(_TURN_S)

    async def _watch_gateways(self) -> None:
        while self._gateways:
            self._told_gateways = await asyncio.to_thread(ask_gateways, self._gateways)
            await asyncio.sleep(_GATEWAYS_S)

    def _encode(self, tick_ns: int) -> bytes:
        pictures = {camera: self.pictures.newest(camera) for camera in self.cameras}
        return encode_line(view_line(self._feed.state(), pictures, self._told_gateways, self.archived, tick_ns))


@contextmanager
def open_live(console: Console) -> Iterator[LiveLine]:
    """Yield what the live pages follow; nothing runs before one is open."""
    yield LiveLine(console)
