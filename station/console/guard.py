"""What every request passes before any route: rate, host, size, time, login; and what every answer carries. Event loop.

An ASGI middleware, so that nothing of a request is read before it may be, and streams stay streams.
"""

import asyncio
import json
import secrets
import socket
from collections.abc import Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from station.config.console import ConsoleConfig
from station.console.limits import Limits
from station.console.sessions import Session

__all__ = ["Guard", "cookie_name"]

_SMALL_BYTES = 64 << 10
_USUAL_BYTES = 1 << 20
_BODY_S = 30.0
_LEAST_BYTES_PER_S = 256 << 10
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=()",
}
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def cookie_name(scope: Scope) -> str:
    """Return what the login's cookie is called: browsers keep those of all ports of a computer together."""
    return f"shadowline-{(scope.get('server') or ('', 0))[1]}"


class Guard:
    """Wraps the application."""

    def __init__(
        self, app: ASGIApp, config: ConsoleConfig, limits: Limits, find: Callable[[str], Session | None]
    ) -> None:
        self._app = app
        self._limits = limits
        self._find = find
        self._upload_bytes = config.upload_mb << 20
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in config.names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope["nonce"] = secrets.token_urlsafe(16)
        answering = _Answer(scope, send)
        headers = Headers(scope=scope)
        if not self._limits.may_ask(scope["client"][0] if scope.get("client") else ""):
            await answering.refuse(429, "too many requests: wait a little")
        elif not self._is_ours(headers.get("host", "")):
            await answering.refuse(421, "not this computer's name: [console] names lists those beside its addresses")
        else:
            await self._pass_on(scope, headers, receive, answering)

    async def _pass_on(self, scope: Scope, headers: Headers, receive: Receive, answering: "_Answer") -> None:
        token = _cookie(headers.get("cookie", ""), cookie_name(scope))
        asks = bool(token) and not scope["path"].startswith("/static/")
        session = await run_in_threadpool(self._find, token) if asks else None
        scope["session"] = session
        most = self._most_bytes(session, headers.get("content-type", ""))
        if _length(headers) > most:
            await answering.refuse(413, f"more than {most >> 10} KiB: send less")
            return
        await self._app(scope, _bounded(receive, most), answering.send)

    def _most_bytes(self, session: Session | None, content_type: str) -> int:
        if session is None:
            return _SMALL_BYTES
        return self._upload_bytes if content_type.lower().startswith("multipart/form-data") else _USUAL_BYTES

    def _is_ours(self, host: str) -> bool:
        """Whether a page of ours may be called so: else another's page could have itself called by its own name."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower() in self._names
        return True


class _Answer:
    """Sends an answer with the headers that all carry."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._dress(message)
        await self._send(message)

    async def refuse(self, status: int, line: str) -> None:
        """Answer with an error before anything of the request was read."""
        body = json.dumps({"error": line}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 413:
            headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _dress(self, message: MutableMapping[str, Any]) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _HEADERS.items():
            headers[name] = value
        headers.setdefault("Content-Security-Policy", _POLICY.format(nonce=self._scope["nonce"]))
        if self._scope["path"].startswith("/static/"):
            lasting = self._scope["query_string"].startswith(b"v=")
            headers["Cache-Control"] = "max-age=31536000, immutable" if lasting else "no-cache"
        else:
            headers.setdefault("Cache-Control", "no-store")


def _bounded(receive: Receive, most: int) -> Receive:
    """Return what receives up to `most` bytes of a body, in the time that they need. Raises `HTTPException`."""
    until_s = asyncio.get_running_loop().time() + _BODY_S + most / _LEAST_BYTES_PER_S
    taken, complete = 0, False

    async def take() -> Message:
        nonlocal taken, complete
        if complete:  # all that comes now is that the client goes
            return await receive()
        try:
            async with asyncio.timeout_at(until_s):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "what was announced did not come in time") from None
        taken += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if taken > most:
            raise HTTPException(413, f"more than {most >> 10} KiB: send less")
        return message

    return take


def _length(headers: Headers) -> int:
    given = headers.get("content-length", "0")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else 0


def _cookie(header: str, name: str) -> str:
    """Return the login's token, empty without one."""
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
