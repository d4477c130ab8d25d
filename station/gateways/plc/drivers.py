"""Which memory a table asks for, and whether the words fit there. Their packages load when they are opened."""

from contextlib import AbstractContextManager
from typing import Final, assert_never

from shadowline.errors import ConfigError, MissingExtra
from station.config.gateways import ModbusConfig, S7Config
from station.gateways.plc.memory import Memory, Opening
from station.gateways.plc.registers import CONTROL, STATUS_WORDS

__all__ = ["opening_of"]

_WORDS: Final = 65_536


def opening_of(name: str, settings: ModbusConfig | S7Config) -> Opening:
    """Return what opens the memory of the gateway `name`. Raises `ConfigError` where its areas lie in one another."""
    match settings:
        case ModbusConfig():
            _refuse(name, "register", settings.control_register, settings.status_register, _WORDS)
        case S7Config() if settings.control_block == settings.status_block:
            _refuse(name, "byte", settings.control_byte, settings.status_byte, _WORDS, each=2)
    return lambda: _open(name, settings)


def _open(name: str, settings: ModbusConfig | S7Config) -> AbstractContextManager[Memory]:
    match settings:
        case ModbusConfig():
            try:
                from station.gateways.plc.modbus_client import modbus_client
                from station.gateways.plc.modbus_server import modbus_server
            except ImportError:
                raise MissingExtra("pymodbus", "modbus") from None
            return modbus_server(name, settings) if settings.role == "server" else modbus_client(settings)
        case S7Config():
            try:
                from station.gateways.plc.s7 import s7_blocks
            except ImportError:
                raise MissingExtra("python-snap7", "s7") from None
            return s7_blocks(settings)
        case _ as never:
            assert_never(never)


def _refuse(name: str, unit: str, control: int, status: int, end: int, each: int = 1) -> None:
    """Raise `ConfigError` where the areas overlap or reach beyond the end."""
    control_end, status_end = control + each * CONTROL.words, status + each * STATUS_WORDS
    if max(control_end, status_end) > end:
        raise ConfigError(f"[gateway.{name}] status_{unit}, control_{unit}: they reach beyond {end - 1}")
    if control < status_end and status < control_end:
        raise ConfigError(
            f"[gateway.{name}] control_{unit} {control} to {control_end - 1} and status_{unit} {status} to"
            f" {status_end - 1} lie in one another: move one of them"
        )
