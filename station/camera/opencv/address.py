"""The address of a network stream: with a login for the library, without one for people, and what is wrong there.

Pure, but for the one question that `why_not` asks the host.
"""

import socket
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

__all__ = ["has_stamps", "is_address", "shown", "why_not", "with_login"]

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_OPEN_TALK = ("rtsp", "http")
_SHOWN_CHARACTERS = 60
_ANSWER_S = 1.0


def is_address(url: str) -> bool:
    """Whether `url` names a host, by a protocol that carries pictures."""
    try:
        parts = urlsplit(url)
        return parts.scheme in _PORTS and bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        return False


def has_stamps(url: str) -> bool:
    """Whether the stream's stamps are the camera's: over HTTP the library counts pictures at a rate it guesses."""
    return urlsplit(url).scheme in ("rtsp", "rtsps")


def with_login(url: str, user: str, password: str) -> str:
    """Return `url` with user and password put in, escaped; as it is where there are none."""
    parts = urlsplit(url)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return urlunsplit(parts._replace(netloc=login + parts.netloc))


def shown(url: str) -> str:
    """Return `url` as it may be shown: without the query, where some cameras want user and password."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def why_not(url: str, had_login: bool) -> str:
    """Return why a stream can't be opened, as far as its host tells one who asks without user and password.

    `had_login` says that the library had them. Waits at most a second for a connection, and a second for an answer.
    """
    parts = urlsplit(url)
    address = (parts.hostname, parts.port or _PORTS[parts.scheme])
    try:
        with socket.create_connection(address, _ANSWER_S) as line:
            if parts.scheme not in _OPEN_TALK:
                return "the host is there, but gives no pictures: check path, user and password"
            line.sendall(_question(parts))
            return _meaning(_status(line), had_login)
    except TimeoutError:
        return "no answer: check address, network and power"
    except ConnectionRefusedError:
        return "the host refuses connections on this port"
    except OSError as error:
        return f"the host can't be reached: {error.strerror}"


def _question(parts: SplitResult) -> bytes:
    if parts.scheme == "rtsp":
        return f"DESCRIBE {urlunsplit(parts)} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode()
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()


def _status(line: socket.socket) -> str:
    """Return the first line of the answer; empty when there is none in time."""
    try:
        return line.recv(1024).partition(b"\r\n")[0].decode("ascii", "replace")[:_SHOWN_CHARACTERS]
    except TimeoutError:
        return ""


def _meaning(status: str, had_login: bool) -> str:
    """Return what the answer means to one who wants pictures."""
    if not status:
        return "the host takes connections but does not answer"
    match status.split()[1:2]:
        case ["401"]:
            return f"the host {'does not take this' if had_login else 'asks for a'} user and password (401)"
        case ["404"]:
            return "the host has no stream of this path (404)"
        case ["200"]:
            return "the host answers, but with nothing that can be played within open_timeout_s"
    return f"the host answers {status!r}"
