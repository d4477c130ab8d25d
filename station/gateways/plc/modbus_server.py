"""Registers of the station's own, which the PLC reads and writes by Modbus TCP. Two threads: the gateway's, and the
server's event loop; what they share is behind a lock.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from shadowline.errors import ConfigError
from station.config.gateways import ModbusConfig
from station.gateways.plc.memory import Memory
from station.gateways.plc.registers import CONTROL, STATUS_WORDS
from station.worker import Worker

__all__ = ["modbus_server"]

logger = logging.getLogger(__name__)

_BIT_FUNCTIONS: Final = (1, 2, 5, 15)
_INPUT_REGISTERS: Final = 4


@contextmanager
def modbus_server(name: str, config: ModbusConfig) -> Iterator[Memory]:
    """Listen for the length of a block. Raises `ConfigError` where that address can't be had."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs each wrong request, for which PLCs get an answer
    registers = _Registers(config)
    listener = _Listener(name, config, registers)
    with Worker("modbus", listener.run, listener.stop):
        yield registers


class _Registers:
    """Both areas, and the answer to every request."""

    def __init__(self, config: ModbusConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._control = [0] * CONTROL.words
        self._status = [0] * STATUS_WORDS
        self._reject = True

    def read_control(self) -> Sequence[int]:
        with self._lock:
            return list(self._control)

    def write_status(self, place: int, words: Sequence[int]) -> None:
        with self._lock:
            self._status[place : place + len(words)] = words

    def write_reject(self, reject: bool) -> None:
        self._reject = reject

    async def serve(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        held: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Let a request see and change what it may: `held`, from the address `start` on, is what it is answered from.

        The event loop calls it for each request, one after the other.
        """
        if function in _BIT_FUNCTIONS:
            if values is not None or address != self._config.reject_coil:
                return ExcCodes.ILLEGAL_ADDRESS
            held[address // 16 - start] = int(self._reject) << address % 16
            return None
        with self._lock:
            control = address - self._config.control_register
            if function != _INPUT_REGISTERS and 0 <= control <= control + count <= CONTROL.words:
                if values is not None:
                    self._control[control : control + count] = [int(value) for value in values]
                held[address - start : address - start + count] = self._control[control : control + count]
                return None
            status = address - self._config.status_register
            if values is None and 0 <= status <= status + count <= STATUS_WORDS:
                held[address - start : address - start + count] = self._status[status : status + count]
                return None
        return ExcCodes.ILLEGAL_ADDRESS

    def device(self) -> SimDevice:
        """Return what the server answers from, with room for both areas."""
        config, words = self._config, DataType.REGISTERS
        first = min(config.control_register, config.status_register)
        last = max(config.control_register + CONTROL.words, config.status_register + STATUS_WORDS)
        bits = SimData(config.reject_coil or 0, values=[False] * 16, datatype=DataType.BITS)
        holding = SimData(first, count=last - first, values=0, datatype=words)
        inputs = SimData(config.status_register, count=STATUS_WORDS, values=0, datatype=words)
        blocks = ([bits], [bits], [holding], [inputs])
        return SimDevice(config.unit, blocks, use_bit_addressing=True, action=self.serve)


class _Listener:
    """Runs in a `Worker`."""

    def __init__(self, name: str, config: ModbusConfig, registers: _Registers) -> None:
        self._name, self._config, self._registers = name, config, registers
        self._stop: Callable[[], object] = lambda: None

    def run(self, ready: Callable[[], None]) -> None:
        """Listen until stopped. Raises `ConfigError`."""
        asyncio.run(self._serve(ready))

    def stop(self) -> None:
        """Let the thread end. Any thread."""
        self._stop()

    async def _serve(self, ready: Callable[[], None]) -> None:
        where, ended = (self._config.host, self._config.port), asyncio.Event()
        server = ModbusTcpServer(
            self._registers.device(), address=where, trace_connect=lambda connected: self._make_room(server)
        )
        if not await server.listen():
            raise ConfigError(
                f"[gateway.{self._name}] host, port: can't listen at {where[0]}:{where[1]}:"
                " is it free, and open to this user?"
            )
        self._stop = partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set)
        listening = cast(asyncio.Server, server.transport)
        logger.info("Modbus server listens at %s:%d", *listening.sockets[0].getsockname()[:2])
        ready()
        try:
            await ended.wait()
        finally:
            server.close()

    def _make_room(self, server: ModbusTcpServer) -> None:
        """Let the oldest connection give way to one too many: those of a PLC that lost power never end."""
        if len(server.active_connections) > self._config.max_connections:
            next(iter(server.active_connections.values())).close()
