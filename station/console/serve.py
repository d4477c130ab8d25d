"""The console as a process: its database, its ear for the station, and its web server in a thread. Main thread."""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from shadowline.errors import ConfigError
from station.client import Peer
from station.config import Config
from station.config.console import ConsoleConfig
from station.console.app import open_app
from station.console.feed import Feed
from station.console.limits import Limits
from station.console.patience import PatientProtocol
from station.console.records import open_records
from station.console.rendering import open_templates
from station.console.texts import read_texts
from station.console.web import Console
from station.console.workers import Workers
from station.metrics.tls import server_context

__all__ = ["Served", "open_console", "serving"]

logger = logging.getLogger(__name__)

_CONNECTIONS = 256
_HEAD_BYTES = 32 << 10
_GOODBYE_S = 3
_SLOWEST_TURN_S = 10.0


@dataclass(frozen=True, slots=True)
class Served:
    """A console that answers, until its block ends."""

    url: str
    console: Console
    faults: Callable[[], list[str]]
    """Why the process should be started anew; empty while it lives."""


@contextmanager
def open_console(config: Config, config_file: Path, publish: Peer, journal: Peer, control: Peer) -> Iterator[Console]:
    """Yield what the console's parts share; its feed does not run yet. Raises `ConfigError` and `KeysError`."""
    table = config.console
    with open_records(table) as records:
        yield Console(
            config=config,
            config_file=config_file,
            folder=records.folder,
            database=records.database,
            publish=publish,
            journal=journal,
            control=(control.endpoint, control.keys),
            feed=Feed(publish, journal),
            workers=Workers(),
            audit=records.audit,
            people=records.people,
            sessions=records.sessions,
            limits=Limits(table.logins_per_minute, table.requests_per_s),
            texts=read_texts(),
            templates=open_templates(),
        )


@contextmanager
def serving(config: Config, config_file: Path, publish: Peer, journal: Peer, control: Peer) -> Iterator[Served]:
    """Yield the console once it answers. Raises `StationError` where it can't, or must not."""
    table = config.console
    tls = _tls(table)
    with open_console(config, config_file, publish, journal, control) as console:
        if not table.local and not console.people.any():
            raise ConfigError(
                f"[console] host {table.host} is open to the network, and nobody can log in yet:"
                " station console user add NAME --role engineer"
            )
        with _listen(table) as listener, open_app(console) as app:
            web = _Web(app, listener, tls)
            url = table.url(listener.getsockname()[1])
            with (
                console.workers.thread("feed", console.feed.run, console.feed.stop),
                console.workers.thread("web", web.run, lambda: web.stop(console.feed)),
            ):
                yield Served(url, console, lambda: _faults(console.workers, web))


class _Web:
    """uvicorn in a `Worker`."""

    def __init__(self, app: FastAPI, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.turned_s = time.monotonic()
        self._listener = listener
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                h11_max_incomplete_event_size=_HEAD_BYTES,
                timeout_graceful_shutdown=_GOODBYE_S,
                callback_notify=self._turn,
                timeout_notify=1,
                ssl_context_factory=None if tls is None else lambda config, default: tls,
            )
        )
        for name in ("uvicorn.error", "python_multipart"):  # what a client does wrong is no event of ours
            logging.getLogger(name).setLevel(logging.ERROR)

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until stopped; the listener takes connections already."""
        ready()
        self._server.run([self._listener])

    def stop(self, feed: Feed) -> None:
        """Let the thread end, and before it all streams. Any thread."""
        feed.stop()
        self._server.should_exit = True

    async def _turn(self) -> None:
        self.turned_s = time.monotonic()


def _faults(workers: Workers, web: _Web) -> list[str]:
    faults = workers.faults()
    if time.monotonic() - web.turned_s > _SLOWEST_TURN_S:
        faults.append(f"the web server has not turned for {_SLOWEST_TURN_S:g} s")
    return faults


def _tls(config: ConsoleConfig) -> ssl.SSLContext | None:
    return server_context(config.certificate, config.key, "console") if config.certificate and config.key else None


def _listen(config: ConsoleConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host, config.port), family=family, backlog=_CONNECTIONS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections have it from here
        return listener
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise ConfigError(f"[console] port {config.host}:{config.port}: {what}") from None
