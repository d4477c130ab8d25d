"""One HTTP request as bytes, and the answer to it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

__all__ = ["MAX_HEAD_BYTES", "Answer", "BadRequest", "Request", "parse"]

MAX_HEAD_BYTES = 8192
_MAX_HEADERS = 64


class BadRequest(Exception):
    """These bytes are no request that is understood here."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, and is the last on its connection."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, with_body: bool = True) -> bytes:
        """Return the answer as HTTP/1.1."""
        lines = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            **self.headers,
        }
        head = f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return head.encode("ascii") + b"\r\n" + (self.body if with_body else b"")


def parse(head: bytes) -> Request:
    """Return the request whose lines, up to the empty one, are `head`. Raises `BadRequest`."""
    try:
        first, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = first.split(" ")
    except ValueError:  # UnicodeDecodeError is one
        raise BadRequest("not an HTTP request") from None
    if version not in ("HTTP/1.0", "HTTP/1.1") or len(lines) > _MAX_HEADERS:
        raise BadRequest("not HTTP/1.1, or too many headers")
    pairs = [line.partition(":") for line in lines]
    if not all(colon and name and name == name.strip() for name, colon, _ in pairs):
        raise BadRequest("a header without its name")
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Request(method, target.partition("?")[0], headers)
