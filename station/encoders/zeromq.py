"""Hears a counter that another program publishes by ZeroMQ. Encoder thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import zmq

from shadowline.errors import ConfigError
from station.clock import Clock
from station.config import ZeroMqEncoder
from station.encoders.base import BackOff, Fault, Heard, News, Source
from station.security.keys import ClientKeys

__all__ = ["subscription"]

_POLL_MS = 100
_MAX_BYTES = 16_384
_MAX_WAITING = 1000
_PING_MS = 1000  # without it a publisher whose computer lost power is never missed, and its next life not heard
_RECONNECT_MS = 1000  # well over the poll: after a loss this socket shall not be connected again, but replaced
_LOST = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Message(msgspec.Struct):
    """What a publisher says; other keys are none of our concern."""

    count: int
    coil: Annotated[str, msgspec.Meta(pattern=r"^\w[\w .:+#-]{0,63}\Z")] | None = None


_messages: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)


def subscription(config: ZeroMqEncoder, keys: ClientKeys | None, clock: Clock, stopping: threading.Event) -> Source:
    """Hear the publisher. What waited is told in order and as of one tick; after a loss the socket is made anew.

    With `keys` the publisher must have the key that the configuration names.

    libzmq tries until it is connected, and again after a loss, but never to a peer that broke the protocol or sent too
    long a message.
    """
    back_off = BackOff(stopping)
    with zmq.Context(io_threads=1) as context:
        while not stopping.is_set():
            with _subscribed(context, config, keys) as (socket, losses):
                yield None
                for item in _until_lost(socket, losses, config, clock, stopping):
                    if isinstance(item, Heard):
                        back_off.reset()
                    yield item
            if not stopping.is_set():
                yield Fault(f"{config.endpoint} is lost")
                back_off.wait()


def _until_lost(
    socket: zmq.Socket[bytes],
    losses: zmq.Socket[bytes],
    config: ZeroMqEncoder,
    clock: Clock,
    stopping: threading.Event,
) -> Iterator[News]:
    lost = 0
    while not (lost or stopping.is_set()):
        socket.poll(_POLL_MS)
        lost = losses.poll(0)  # before the rest is taken: nothing comes after it
        tick_ns = clock.tick_ns()
        for payload in _waiting(socket):
            yield _understood(payload, tick_ns, config)
        yield None


def _waiting(socket: zmq.Socket[bytes]) -> Iterator[bytes]:
    """Yield the last part of each message that waits, at most as many as may."""
    for _ in range(_MAX_WAITING):
        try:
            yield socket.recv_multipart(zmq.NOBLOCK)[-1]
        except zmq.Again:
            return


def _understood(payload: bytes, tick_ns: int, config: ZeroMqEncoder) -> News:
    try:
        message = _messages.decode(payload)
    except _NO_JSON as fault:
        return Fault(f"{config.endpoint} sends what is no count: {fault}")
    if not 0 <= message.count < 2**config.bits:
        return Fault(f"{config.endpoint} sends {message.count}, which is no count of {config.bits} bits")
    return Heard(tick_ns, message.count, message.coil)


@contextmanager
def _subscribed(
    context: zmq.Context[zmq.Socket[bytes]], config: ZeroMqEncoder, keys: ClientKeys | None
) -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    """Yield the connected socket, and one on which the loss of its connection is heard."""
    with context.socket(zmq.SUB) as socket, socket.get_monitor_socket(_LOST) as losses:
        socket.linger = 0
        socket.rcvhwm = _MAX_WAITING
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _PING_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.subscribe(config.topic)
        if keys is not None:
            keys.prepare(socket)
        try:
            _connect(socket, config.endpoint)
            yield socket, losses
        finally:
            socket.disable_monitor()


def _connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as fault:
        raise ConfigError(f"[line.encoder] endpoint {endpoint}: {fault.strerror}") from None
