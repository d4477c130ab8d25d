"""Reads a counter in the registers of a PLC by Modbus TCP. Encoder thread."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from shadowline.errors import MissingExtra
from station.clock import Clock
from station.config import ModbusEncoder
from station.encoders.base import BackOff, Fault, Heard, Source

__all__ = ["registers"]


class _Away(Exception):
    """The PLC could not be read, for this reason."""


def registers(config: ModbusEncoder, timeout_s: float, clock: Clock, stopping: threading.Event) -> Source:
    """Read the counter `poll_hz` times a second, each within `timeout_s`; connect anew after a fault.

    A reading is of the middle between question and answer.
    """
    try:
        import pymodbus  # noqa: F401
    except ImportError:
        raise MissingExtra("pymodbus", "modbus") from None
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs every failed reading, packets and all
    yield None
    back_off = BackOff(stopping)
    while not stopping.is_set():
        try:
            with _connection(config, timeout_s) as read:
                while not stopping.is_set():
                    begun_ns = clock.tick_ns()
                    count = read()
                    yield Heard((begun_ns + clock.tick_ns()) // 2, count)
                    back_off.reset()
                    stopping.wait(max(0.0, 1 / config.poll_hz - (clock.tick_ns() - begun_ns) / 1e9))
        except _Away as fault:
            yield Fault(f"{config.host}:{config.port} {fault}")
            back_off.wait()


@contextmanager
def _connection(config: ModbusEncoder, timeout_s: float) -> Iterator[Callable[[], int]]:
    """Yield what reads the counter once; whatever fails in the block ends it as `_Away`."""
    from pymodbus.client import ModbusTcpClient
    from pymodbus.exceptions import ModbusException

    client = ModbusTcpClient(config.host, port=config.port, timeout=timeout_s, retries=0)
    ask = client.read_holding_registers if config.table == "holding" else client.read_input_registers
    words = config.bits // 16

    def read() -> int:
        reply = ask(config.first_register, count=words, device_id=config.unit)
        if reply.isError():
            raise _Away(f"refuses register {config.first_register}: Modbus exception {reply.exception_code}")
        if len(reply.registers) != words:
            raise _Away(f"answers with {len(reply.registers)} registers for {words}")
        return _number(reply.registers, config.low_word_first)

    try:
        with client:
            if not client.connected:
                raise _Away("can't be reached")
            yield read
    except (ModbusException, OSError, ValueError) as fault:
        raise _Away(f"does not answer: {fault}") from fault


def _number(words: Sequence[int], low_word_first: bool) -> int:
    ordered = reversed(words) if low_word_first else words
    return int.from_bytes(b"".join(word.to_bytes(2, "big") for word in ordered), "big")
