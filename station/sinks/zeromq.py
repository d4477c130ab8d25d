"""Publish messages on a ZeroMQ PUB socket: topic and JSON, two parts. Publish thread."""

import zmq

from shadowline.errors import ConfigError
from station.config import PublishConfig
from station.event import Message, topic

__all__ = ["ZeroMqSink"]


class ZeroMqSink:
    """The live view: whoever listens gets it, whoever is slow loses what is beyond the high-water mark."""

    name = "zeromq"

    def __init__(self, config: PublishConfig) -> None:
        """Bind the endpoint; raises `ConfigError` when it is taken or can't be bound."""
        self.dropped: dict[str, int] = {}
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.PUB)
        self._socket.set_hwm(config.high_water_mark)
        self._socket.linger = 200
        try:
            self._socket.bind(config.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"[publish] endpoint {config.endpoint}: {error.strerror.lower()}") from None
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def put(self, message: Message, payload: bytes) -> None:
        try:
            self._socket.send_multipart((topic(message).encode(), payload), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            reason = error.strerror.lower()
            self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def close(self) -> None:
        self._socket.close()
        self._context.term()
