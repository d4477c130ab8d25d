"""Publish messages on a ZeroMQ PUB socket: topic and JSON, two parts. Publish thread."""

import zmq

from station.config import PublishConfig
from station.event import Message, topic
from station.security.gate import Gate

__all__ = ["ZeroMqSink"]

_LINGER_MS = 200


class ZeroMqSink:
    """The live view: whoever listens gets it, whoever is slow loses what is beyond the high-water mark."""

    name = "zeromq"

    def __init__(self, config: PublishConfig, gate: Gate) -> None:
        """Bind the endpoint; raises `ConfigError` when it is taken or can't be bound."""
        self.dropped: dict[str, int] = {}
        self._door = gate.open(
            "events",
            zmq.PUB,
            config.endpoint,
            "[publish] endpoint",
            config.plain_network,
            send_waiting=config.high_water_mark,
        )
        self._door.socket.linger = _LINGER_MS
        self.endpoint = self._door.endpoint

    def put(self, message: Message, payload: bytes) -> None:
        if self._door.stale:
            self._door.renew()
        try:
            self._door.socket.send_multipart((topic(message).encode(), payload), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            reason = error.strerror.lower()
            self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def close(self) -> None:
        self._door.close()
