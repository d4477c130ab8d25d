"""Requests that no browser sends, at every route of the console: what comes back, and what stays."""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec
import psutil
import zmq
from fastapi.routing import iter_route_contexts

from station.console.csrf import csrf_of
from station.console.people import Role
from station.control_protocol import Refused
from tests.console_app import PASSWORD, ConsoleApp

__all__ = ["Told", "fuzz", "refusing"]

_TOGETHER = 4
_WORDS = (
    *("", "0", "1", "-1", "top", "default", "true", "null", "NaN", "1e400", str(2**63), "9" * 400, "x" * 5000),
    *(
        "../../etc/passwd",
        "..\\..\\x",
        "/etc/passwd",
        "%00",
        "\x00",
        "a\x00b",
        "\r\nX: y",
        "\ud800",
        "\ufeff",
        "ä漢🙂",
        "\u202e",
    ),
    *(
        "'; DROP TABLE people_person; --",
        '" OR 1=1 --',
        "%",
        "_",
        "<script>alert(1)</script>",
        "{{ 7*7 }}",
        "{name}",
        "%s%n",
    ),
    *("engineer", "viewer", "scratches", "csv", "json", "png", "jpg", "2026-01-01", "2026-01-01T00:00:00", "=1+1"),
)
_KEYS = (
    "name",
    "role",
    "password",
    "csrf",
    "next",
    "id",
    "camera",
    "version",
    "number",
    "from",
    "to",
    "before",
    "model",
)
_TYPES = (
    *("application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=b"),
    *("multipart/form-data", "application/json; charset=utf-7", "image/png", "application/zip", "x", ""),
)
_PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452ffffffffffffffff0800000000")


@dataclass
class Told:
    """What a run of requests told: how many of each status, what must not be, and how much grew."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    """At each tenth of the run."""
    open_files: tuple[int, int] = (0, 0)


def fuzz(site: ConsoleApp, count: int, seed: int) -> Told:
    """Send `count` requests drawn by `seed`, four at a time."""
    return asyncio.run(_run(site, count, seed))


@contextmanager
def refusing(endpoint: str) -> Iterator[None]:
    """Answer at the control socket `endpoint` that nothing can be done."""
    with zmq.Context(io_threads=1) as context, context.socket(zmq.REP) as socket, ThreadPoolExecutor(1) as pool:
        socket.linger = 0
        socket.bind(endpoint)
        stopping = threading.Event()
        pool.submit(_refuse, socket, stopping)
        try:
            yield
        finally:
            stopping.set()


def _refuse(socket: zmq.Socket[bytes], stopping: threading.Event) -> None:
    while not stopping.is_set():
        if socket.poll(20):
            socket.recv()
            socket.send(msgspec.json.encode(Refused("not now")))


async def _run(site: ConsoleApp, count: int, seed: int) -> Told:
    me, told = psutil.Process(), Told()
    drawn = _Drawn(site, random.Random(seed))
    before = me.num_fds()
    for number in range(0, count, _TOGETHER):
        if number % max(_TOGETHER, count // 10 // _TOGETHER * _TOGETHER) == 0:
            told.rss_mib.append(round(me.memory_info().rss / 2**20, 1))
        await asyncio.gather(*(_send(site, drawn.request(), told) for _ in range(_TOGETHER)))
    told.rss_mib.append(round(me.memory_info().rss / 2**20, 1))
    told.open_files = (before, me.num_fds())
    return told


async def _send(site: ConsoleApp, request: dict[str, Any], told: Told) -> None:
    """Send one request; whoever streams is left at the first piece."""
    enough, pieces = asyncio.Event(), iter(request.pop("pieces"))

    async def receive() -> dict[str, Any]:
        piece = next(pieces, None)
        if piece is None:
            await enough.wait()
            return {"type": "http.disconnect"}
        body, more = piece
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told.statuses[message["status"]] += 1
            if message["status"] >= 500:
                told.faults.append(f"{message['status']}: {request['method']} {request['path']!r}")
        elif message.get("body"):
            enough.set()

    try:
        async with asyncio.timeout(60):
            await site.app(request, receive, send)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault of the console
        told.faults.append(f"{type(error).__name__} {error}: {request['method']} {request['path']!r}")


class _Drawn:
    """Draws requests: most are nearly right, so that they get further than the first check."""

    def __init__(self, site: ConsoleApp, random: random.Random) -> None:
        self._site, self._random = site, random
        self._routes = [
            (method, route.path)
            for route in iter_route_contexts(site.app.routes)
            for method in sorted(route.methods or ())
        ]

    def request(self) -> dict[str, Any]:
        draw = self._random
        method, path = draw.choice(self._routes)
        if draw.random() < 0.05:
            method = draw.choice(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "X" * 30))
        path = "".join(self._word() if "{" in part else part for part in _split(path))
        if draw.random() < 0.05:
            path = "/" + self._word()
        path = path.encode(errors="replace").decode()
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": self._query(),
            "root_path": "",
            "headers": self._headers(),
            "client": ("127.0.0.1", draw.randrange(1, 65536)),
            "server": ("127.0.0.1", 80),
            "state": {},
            "pieces": self._pieces(),
        }

    def _word(self) -> str:
        draw = self._random
        if draw.random() < 0.6:
            return draw.choice(_WORDS)
        return "".join(
            chr(draw.choice((draw.randrange(32, 127), draw.randrange(0x2FF)))) for _ in range(draw.randrange(20))
        )

    def _query(self) -> bytes:
        draw = self._random
        if draw.random() < 0.5:
            return b""
        pairs = (f"{draw.choice(_KEYS)}={quote(self._word(), errors='replace')}" for _ in range(draw.randrange(1, 5)))
        return "&".join(pairs).encode()

    def _headers(self) -> list[tuple[bytes, bytes]]:
        draw = self._random
        headers = {"host": "127.0.0.1" if draw.random() < 0.95 else self._word()}
        role = draw.choice((None, Role.VIEWER, Role.OPERATOR, Role.ENGINEER, Role.ENGINEER, Role.ENGINEER))
        if role is not None:
            token = self._token(role)
            headers["cookie"] = f"shadowline-80={token}" + ("" if draw.random() < 0.9 else "; " + self._word())
            headers["x-csrf-token"] = csrf_of(token) if draw.random() < 0.9 else self._word()
        headers["content-type"] = draw.choice(_TYPES)
        headers["accept"] = draw.choice(("text/html", "application/json", "*/*", ""))
        for name in (
            "range",
            "if-none-match",
            "if-modified-since",
            "accept-language",
            "content-length",
            "x-forwarded-for",
        ):
            if draw.random() < 0.05:
                headers[name] = self._word()
        return [(name.encode(), value.encode(errors="replace")) for name, value in headers.items()]

    def _token(self, role: Role) -> str:
        """Return a token of somebody of `role`, who is made again where the requests removed them."""
        console, name = self._site.console, role.name.lower()
        if not console.sessions.lasts(self._site.sessions[role].token):
            person = next((one for one in console.people.all() if one.name == name), None)
            person = person or console.people.add(name, role, PASSWORD)
            self._site.sessions[role] = console.sessions.begin(person)
        return self._site.sessions[role].token

    def _pieces(self) -> list[tuple[bytes, bool]]:
        """Return a body in pieces, of which some are missing."""
        draw = self._random
        body = draw.choice((self._json, self._form, self._parts, self._noise))()
        if draw.random() < 0.1:
            body = body[: draw.randrange(len(body) + 1)]
        half = len(body) // 2
        return [(body, False)] if draw.random() < 0.7 else [(body[:half], True), (body[half:], False)]

    def _json(self) -> bytes:
        draw = self._random
        value: Any = {draw.choice(_KEYS): self._value(3) for _ in range(draw.randrange(5))}
        if draw.random() < 0.1:
            return b"[" * draw.randrange(3000)
        return json.dumps(value if draw.random() < 0.8 else self._value(3)).encode()

    def _value(self, depth: int) -> Any:
        draw = self._random
        kind = draw.randrange(7 if depth else 5)
        if kind < 2:
            return self._word()
        if kind < 5:
            return draw.choice((None, True, 0, -1, 10**30, 1.5, float("nan"), float("inf")))
        if kind == 5:
            return [self._value(depth - 1) for _ in range(draw.randrange(4))]
        return {draw.choice(_KEYS): self._value(depth - 1) for _ in range(draw.randrange(4))}

    def _form(self) -> bytes:
        return self._query() or b"name=engineer"

    def _parts(self) -> bytes:
        draw = self._random
        lines = b""
        for _ in range(draw.randrange(4)):
            name, file = draw.choice((*_KEYS, "files", "file")), self._word().encode(errors="replace")
            content = draw.choice((_PNG, b"GIF89a", b"\xff\xd8\xff", b"PK\x03\x04", b"", file))
            head = f'Content-Disposition: form-data; name="{name}"; filename="'.encode() + file + b'"'
            lines += b"--b\r\n" + head + b"\r\nContent-Type: image/png\r\n\r\n" + content + b"\r\n"
        return lines + b"--b--\r\n"

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(200))


def _split(path: str) -> Iterator[str]:
    """Yield the plain pieces of a path, and its places as `{name}`."""
    while "{" in path:
        before, _, rest = path.partition("{")
        place, _, path = rest.partition("}")
        yield before
        yield "{" + place + "}"
    yield path
