"""Data blocks of a Siemens PLC. The gateway's thread, and while it connects one that ends the waiting."""

import logging
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Final, TypeVar

from snap7.client import Client
from snap7.error import S7Error

from shadowline.errors import PeerLost
from station.config.gateways import S7Config
from station.gateways.plc.memory import Memory
from station.gateways.plc.registers import CONTROL

__all__ = ["s7_blocks"]

_STRANGE: Final = (S7Error, OSError, ValueError, LookupError, RuntimeError, struct.error)
"""What the library raises on an answer that is none."""

_Answer = TypeVar("_Answer")


@contextmanager
def s7_blocks(config: S7Config) -> Iterator[Memory]:
    """Connect for the length of a block. Raises `PeerLost`."""
    logging.getLogger("snap7").setLevel(logging.CRITICAL)  # it logs every connection and call
    client = Client()
    try:
        blocks = _Blocks(client, config)
        blocks.connect()
        yield blocks
    finally:
        client.disconnect()


class _Blocks:
    def __init__(self, client: Client, config: S7Config) -> None:
        self._client, self._config = client, config
        self._where = f"{config.host}:{config.port}"

    def connect(self) -> None:
        config = self._config
        try:  # the library would wait for 5 s
            socket.create_connection((config.host, config.port), config.connect_s).close()
        except OSError as fault:
            raise PeerLost(f"{self._where} can't be reached: {fault}") from None
        with self._at_most(config.connect_s):
            self._ask(lambda: self._client.connect(config.host, config.rack, config.slot, config.port))
        connection = self._client.connection
        if connection is not None and connection.socket is not None:
            connection.socket.settimeout(config.connect_s)

    @contextmanager
    def _at_most(self, seconds: float) -> Iterator[None]:
        """Cut the connection of a PLC that does not answer; the library has no time-out of its own to set."""
        silent = False

        def cut() -> None:
            nonlocal silent
            silent = True
            if (connection := self._client.connection) is not None and connection.socket is not None:
                with suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)

        timer = Timer(seconds, cut)
        timer.start()
        try:
            yield
        except PeerLost:
            if silent:
                raise PeerLost(f"{self._where} takes the connection and says nothing for {seconds:g} s") from None
            raise
        finally:
            timer.cancel()
            timer.join()

    def read_control(self) -> Sequence[int]:
        config = self._config
        raw = self._ask(lambda: self._client.db_read(config.control_block, config.control_byte, 2 * CONTROL.words))
        if len(raw) != 2 * CONTROL.words:
            raise PeerLost(f"{self._where} answers with {len(raw)} bytes for {2 * CONTROL.words}")
        return struct.unpack(f">{CONTROL.words}H", raw)

    def write_status(self, place: int, words: Sequence[int]) -> None:
        config, raw = self._config, bytearray(struct.pack(f">{len(words)}H", *words))
        self._ask(lambda: self._client.db_write(config.status_block, config.status_byte + 2 * place, raw))

    def write_reject(self, reject: bool) -> None:
        """The word `outputs` is written alone anyway."""

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        try:
            return call()
        except _STRANGE as fault:
            raise PeerLost(
                f"{self._where}, data blocks {self._config.control_block} and {self._config.status_block}: {fault}"
            ) from fault
