"""The registers of a PLC that is a Modbus TCP server. The gateway's thread."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from shadowline.errors import PeerLost
from station.config.gateways import ModbusConfig
from station.gateways.plc.memory import Memory
from station.gateways.plc.registers import CONTROL

__all__ = ["modbus_client"]


@contextmanager
def modbus_client(config: ModbusConfig) -> Iterator[Memory]:
    """Connect for the length of a block. Raises `PeerLost`."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs every failed call, packets and all
    with ModbusTcpClient(config.host, port=config.port, timeout=config.connect_s, retries=0) as client:
        if not client.connected:
            raise PeerLost(f"{config.host}:{config.port} can't be reached: is the PLC's Modbus server on?")
        yield _Registers(client, config)


class _Registers:
    def __init__(self, client: ModbusTcpClient, config: ModbusConfig) -> None:
        self._client, self._config = client, config
        self._where = f"{config.host}:{config.port}"

    def read_control(self) -> Sequence[int]:
        config = self._config
        first = config.control_register
        reply = self._ask(
            f"holding registers {first} to {first + CONTROL.words - 1}",
            lambda: self._client.read_holding_registers(first, count=CONTROL.words, device_id=config.unit),
        )
        if len(reply.registers) != CONTROL.words:
            raise PeerLost(f"{self._where} answers with {len(reply.registers)} registers for {CONTROL.words}")
        return reply.registers

    def write_status(self, place: int, words: Sequence[int]) -> None:
        first = self._config.status_register + place
        self._ask(
            f"to write holding registers {first} to {first + len(words) - 1}",
            lambda: self._client.write_registers(first, list(words), device_id=self._config.unit),
        )

    def write_reject(self, reject: bool) -> None:
        if (coil := self._config.reject_coil) is not None:
            self._ask(
                f"to write coil {coil}", lambda: self._client.write_coil(coil, reject, device_id=self._config.unit)
            )

    def _ask(self, what: str, call: Callable[[], ModbusPDU]) -> ModbusPDU:
        try:
            reply = call()
        except (ModbusException, OSError, ValueError) as fault:
            raise PeerLost(f"{self._where} does not answer: {fault}") from fault
        if reply.isError():
            raise PeerLost(f"{self._where} refuses {what}: Modbus exception {reply.exception_code}; see docs/plc.md")
        return reply
