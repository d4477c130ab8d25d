"""Serves metrics and health over HTTP, with TLS and a password where that is configured. The metrics thread.

One request a connection, within a few seconds and a few kilobytes. While too many connections are open the oldest gives
way, so that slow clients can neither pile up nor keep Prometheus out.
"""

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

from shadowline.errors import ConfigError
from station.config import MetricsConfig
from station.metrics.request import MAX_HEAD_BYTES, Answer, BadRequest, Request, parse
from station.metrics.secret import Secret
from station.metrics.tls import server_context

__all__ = ["Health", "MetricsServer", "open_guards"]

logger = logging.getLogger(__name__)


class Health(Protocol):
    """What `/healthz` and `/readyz` ask."""

    def faults(self) -> list[str]:
        """Return why the process should be started anew; empty while it lives."""

    def obstacles(self) -> list[str]:
        """Return why it does not do its work; empty while it does."""


_MAX_OPEN = 32
_TIMEOUT_S = 5.0
_PAUSE_S = 0.005  # between two connections: a flood of them costs less than a tenth of a core
_REFUSALS = ("crowded", "slow", "broken", "size", "request", "password")


def open_guards(config: MetricsConfig) -> tuple[ssl.SSLContext | None, Secret | None]:
    """Return the certificate and the password that metrics are served with, where there are some.

    Raises `ConfigError` for a file that can't be used.
    """
    tls = server_context(config.certificate, config.key) if config.certificate and config.key else None
    return tls, Secret(config.password_file) if config.password_file else None


class MetricsServer:
    """Runs in a `Worker`. Made with what it needs from files, so that a fault there ends the start."""

    def __init__(self, config: MetricsConfig, registry: CollectorRegistry, health: Health) -> None:
        """Raises `ConfigError` for a certificate, key or password file that can't be used."""
        self.port = config.port
        """The port it listens on, once it runs."""
        self._config = config
        self._registry = registry
        self._health = health
        self._tls, self._secret = open_guards(config)
        refused = Counter(
            "station_metrics_refused", "Requests for metrics that got none.", ["reason"], registry=registry
        )
        self._refused = {reason: refused.labels(reason) for reason in _REFUSALS}
        self._open: dict[asyncio.Task[None], None] = {}

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return self._config.url(self.port)

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until stopped. Raises `ConfigError` where it can't listen."""
        asyncio.run(self._serve(ready))

    def stop(self) -> None:
        """Let the thread end; open connections are cut. Any thread."""
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._accepting.cancel)

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        with self._listen() as listener:
            self.port = listener.getsockname()[1]
            self._accepting = asyncio.create_task(self._accept(listener))
            if self._config.exposed:
                logger.warning("metrics on %s are open to the network without TLS and password", self.url)
            ready()
            with suppress(asyncio.CancelledError):
                await self._accepting

    def _listen(self) -> socket.socket:
        host, port = self._config.host, self._config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=_MAX_OPEN)
        except OSError as error:
            raise ConfigError(f"[metrics] port {host}:{port}: {(error.strerror or str(error)).lower()}") from None
        listener.setblocking(False)
        return listener

    async def _accept(self, listener: socket.socket) -> None:
        """Take one connection after the other, not too fast; beyond `_MAX_OPEN` the oldest is cut."""
        while True:
            try:
                connection, _ = await self._loop.sock_accept(listener)
            except OSError as error:  # no file handles left, say: those who wait are served when there are
                logger.warning("metrics: %s", error)
                await asyncio.sleep(_TIMEOUT_S)
                continue
            if len(self._open) >= _MAX_OPEN:
                next(iter(self._open)).cancel()
            self._attend(connection)
            await asyncio.sleep(_PAUSE_S)

    def _attend(self, connection: socket.socket) -> None:
        task = asyncio.create_task(self._converse(connection))
        self._open[task] = None
        task.add_done_callback(self._leave)

    def _leave(self, task: asyncio.Task[None]) -> None:
        del self._open[task]
        if task.cancelled():
            self._refused["crowded"].inc()
        elif (error := task.exception()) is not None:
            logger.error("metrics: a request failed: %r", error)

    async def _converse(self, connection: socket.socket) -> None:
        """Hear one request and answer it, all within `_TIMEOUT_S`."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reader, writer = await self._open_streams(connection)
                try:
                    writer.write(await self._hear(reader))
                    writer.close()
                    await writer.wait_closed()
                finally:
                    writer.transport.abort()
        except TimeoutError:
            self._refused["slow"].inc()
        except (OSError, asyncio.IncompleteReadError):
            self._refused["broken"].inc()

    async def _open_streams(self, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader = asyncio.StreamReader(limit=MAX_HEAD_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        limit_s = _TIMEOUT_S if self._tls else None
        transport, _ = await self._loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=limit_s, ssl_shutdown_timeout=limit_s
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)

    async def _hear(self, reader: asyncio.StreamReader) -> bytes:
        """Return the bytes that answer the one request of a connection."""
        try:
            request = parse(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            self._refused["size"].inc()
            return Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE).encode()
        except BadRequest as fault:
            self._refused["request"].inc()
            return Answer(HTTPStatus.BAD_REQUEST, f"{fault}\n".encode()).encode()
        return self._answer(request).encode(with_body=request.method != "HEAD")

    def _answer(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
        match request.path:
            case "/metrics":
                return self._metrics(request)
            case "/healthz":
                return self._tell(self._health.faults(), request)
            case "/readyz":
                return self._tell(self._health.obstacles(), request)
            case _:
                return Answer(HTTPStatus.NOT_FOUND, b"there are /metrics, /healthz and /readyz\n")

    def _metrics(self, request: Request) -> Answer:
        if not self._may_read(request):
            self._refused["password"].inc()
            return Answer(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="station"'})
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Answer(HTTPStatus.OK, encode(self._registry), content_type)

    def _tell(self, reasons: list[str], request: Request) -> Answer:
        """Answer with the reasons for those who may read metrics; everybody hears whether there are some."""
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        told = {"ok": not reasons} | ({"reasons": reasons} if self._may_read(request) else {})
        return Answer(status, json.dumps(told).encode() + b"\n", "application/json")

    def _may_read(self, request: Request) -> bool:
        return self._secret is None or self._secret.opens(request.headers.get("authorization", ""))
