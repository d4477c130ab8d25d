"""Peers that mean harm: each way of it sends messages to one socket of a station until enough are sent.

As a process of its own: `python -m tests.hostile DOMAIN ENDPOINT KEYS MESSAGES`; KEYS is the folder of a client that is
allowed. Prints how many messages went out, by way.
"""

import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import zmq

from station.security.clients import Domain
from station.security.keys import ClientKeys, Pair, read_client_keys

__all__ = ["GREETING", "MORE_PARTS", "connect", "shaken"]

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_CURVE = GREETING.replace(b"NULL".ljust(20, b"\0"), b"CURVE".ljust(20, b"\0"))
_KIND = b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
_READY = b"\x05READY" + _KIND

MORE_PARTS = b"\x01\x00" * 4096
"""Empty parts of a message that does not end."""

_BURST = 500
_HELD = 16


def connect(endpoint: str) -> socket.socket:
    """Return a connection to `endpoint`."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), timeout=10.0)


@contextmanager
def shaken(endpoint: str) -> Iterator[socket.socket]:
    """Yield a connection that has gone through the handshake of a DEALER without keys."""
    with connect(endpoint) as made:
        made.sendall(GREETING)
        heard = b""
        while len(heard) < len(GREETING):
            heard += made.recv(1024)
        made.sendall(b"\x04" + bytes([len(_READY)]) + _READY)
        yield made


def _say(endpoint: str, *blocks: bytes) -> int:
    """Send `blocks` over a connection of their own, as far as it takes them."""
    sent = 0
    with suppress(OSError), connect(endpoint) as made:
        for block in blocks:
            made.sendall(block)
            sent += 1
    return sent


def _garbage(endpoint: str, chance: random.Random) -> int:
    return _say(endpoint, *(chance.randbytes(chance.randrange(1, 2000)) for _ in range(10)))


def _broken_handshakes(endpoint: str, chance: random.Random) -> int:
    commands = (
        b"\x04\xff" + chance.randbytes(255),
        b"\x06" + (2**62).to_bytes(8, "big"),
        b"\x04\xc8\x05HELLO\x01\x00" + chance.randbytes(192),
        b"\x04" + bytes([len(_READY)]) + _READY,
        b"\x00\x00",
        b"\x04\x08\x05ERROR\x01x",
    )
    return _say(endpoint, chance.choice((GREETING, _CURVE)), *chance.sample(commands, 3))


def _wrong_keys(endpoint: str, keys: ClientKeys) -> int:
    """Come once with keys that nobody knows, or to a station that is another."""
    public, private = (key.decode() for key in zmq.curve_keypair())
    for stranger in (ClientKeys(Pair(public, private), keys.station), ClientKeys(keys.own, public)):
        with zmq.Context(io_threads=1) as context, context.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            stranger.prepare(dealer)
            dealer.connect(endpoint)
            dealer.send(b"let me in")
            dealer.poll(200)
    return 2


def _bad_requests(chance: random.Random) -> Iterator[list[bytes]]:
    """Yield for ever what an allowed client may send that is no request."""
    deep = b"[" * 1000 + b"]" * 1000
    kinds: tuple[Callable[[], list[bytes]], ...] = (
        lambda: [chance.randbytes(chance.randrange(0, 300))],
        lambda: [b'{"do":"read","id":' + deep + b"}"],
        lambda: [b'{"do":"read","id":-1,"start":1e400}'],
        lambda: [b'{"do":"swap","model":"' + b"../" * 50 + b'"}'],
        lambda: [b'{"do":"acknowledge","id":1,"consumer":"' + b"x" * 100 + b'","event":1}'],
        lambda: [b"x"] * 100,
        lambda: [b"", b"", b""],
        lambda: [b'{"do":"status"}', b"\xff\xfe"],
    )
    while True:
        yield chance.choice(kinds)()


def _flood(endpoint: str, keys: ClientKeys, chance: random.Random, count: int) -> int:
    """Send `count` bad requests as an allowed client, one in ten thousand too long to be taken."""
    requests, sent = _bad_requests(chance), 0
    with zmq.Context(io_threads=1) as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.reconnect_ivl = 10
        dealer.sndtimeo = 2000
        keys.prepare(dealer)
        dealer.connect(endpoint)
        while sent < count:
            with suppress(zmq.Again):
                dealer.send_multipart([b"x" * 1_000_000] if chance.random() < 1e-4 else next(requests))
                sent += 1
            while dealer.poll(0):
                dealer.recv_multipart()
        dealer.poll(200)
    return sent


def _subscribe(endpoint: str, keys: ClientKeys, chance: random.Random, count: int) -> int:
    """Subscribe to `count` topics, over and over again with new connections as they are cut."""
    sent = 0
    while sent < count:
        with zmq.Context(io_threads=1) as context, context.socket(zmq.XSUB) as subscriber:
            subscriber.linger = 0
            subscriber.sndhwm = 0
            keys.prepare(subscriber)
            subscriber.connect(endpoint)
            for _ in range(_BURST):
                subscriber.send(b"\x01" + chance.randbytes(chance.randrange(1, 60)))
            subscriber.poll(100)
        sent += _BURST
    return sent


def _hold(endpoint: str, holding: ExitStack) -> list[socket.socket]:
    """Return connections that are left half open."""
    held = []
    for _ in range(_HELD):
        with suppress(OSError):
            held.append(holding.enter_context(connect(endpoint)))
    return held


def _drip(held: list[socket.socket]) -> int:
    """Send one byte over each connection that is still there."""
    for connection in list(held):
        try:
            connection.sendall(b"\xff")
        except OSError:
            held.remove(connection)
    return len(held)


def harm(domain: Domain, endpoint: str, keys: ClientKeys, messages: int) -> Counter[str]:
    """Send at least so many messages, a part of them each way, and return how many went out each way."""
    chance, sent = random.Random(messages), Counter[str]()
    burst = _subscribe if domain == "events" else _flood
    while sent.total() < messages:
        with ExitStack() as holding:
            held = _hold(endpoint, holding)
            for _ in range(20):
                sent["garbage"] += _garbage(endpoint, chance)
                sent["broken handshakes"] += _broken_handshakes(endpoint, chance)
                sent["slow"] += _drip(held)
            sent["wrong keys"] += _wrong_keys(endpoint, keys)
            sent["flood"] += burst(endpoint, keys, chance, _BURST * 20)
        time.sleep(0.1)
    return sent


if __name__ == "__main__":
    name, place, folder, number = sys.argv[1:]
    print(json.dumps(harm(name, place, read_client_keys(Path(folder)), int(number))))  # type: ignore[arg-type]
