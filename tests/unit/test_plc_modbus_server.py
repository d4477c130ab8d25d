"""The station's own registers, as a PLC reads and writes them."""

import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from shadowline.errors import ConfigError
from station.config.gateways import ModbusConfig
from station.gateways.plc.memory import Memory
from station.gateways.plc.modbus_server import modbus_server
from station.gateways.plc.registers import CONTROL, STATUS_WORDS

ILLEGAL_ADDRESS = 2


@contextmanager
def served(caplog: pytest.LogCaptureFixture, **changes: object) -> Iterator[tuple[Memory, int]]:
    """Yield the memory and the port that it is served at."""
    table = {"type": "modbus", "role": "server", "host": "127.0.0.1", "port": 0, "reject_coil": 35}
    with caplog.at_level(logging.INFO), modbus_server("plc", ModbusConfig.model_validate(table | changes)) as memory:
        found = re.findall(r"listens at 127.0.0.1:(\d+)", caplog.text)
        yield memory, int(found[-1])


@contextmanager
def connected(port: int) -> Iterator[ModbusTcpClient]:
    with ModbusTcpClient("127.0.0.1", port=port, timeout=5, retries=0) as client:
        yield client


def test_a_plc_reads_the_status_and_writes_the_control_words(caplog: pytest.LogCaptureFixture) -> None:
    with served(caplog) as (memory, port), connected(port) as client:
        assert list(memory.read_control()) == [0] * CONTROL.words
        memory.write_status(30, [5, 6, 7])
        assert client.read_holding_registers(130, count=3).registers == [5, 6, 7]
        assert client.read_input_registers(130, count=3).registers == [5, 6, 7]
        client.write_registers(0, [*range(CONTROL.words)])
        client.write_register(1, 99)
        assert list(memory.read_control()) == [0, 99, *range(2, CONTROL.words)]
        assert client.read_holding_registers(0, count=3).registers == [0, 99, 2]


def test_the_output_is_a_coil_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    with served(caplog) as (memory, port), connected(port) as client:
        assert client.read_discrete_inputs(35, count=1).bits[0]
        memory.write_reject(False)
        assert not client.read_coils(35, count=1).bits[0]
        assert client.write_coil(35, True).exception_code == ILLEGAL_ADDRESS
        assert client.read_coils(36, count=1).exception_code == ILLEGAL_ADDRESS


@pytest.mark.parametrize(
    ("first", "count"), [(CONTROL.words - 1, 2), (60, 1), (99, 2), (100, 1), (100 + STATUS_WORDS - 1, 1), (5000, 1)]
)
def test_nothing_but_the_control_words_can_be_written(first: int, count: int, caplog: pytest.LogCaptureFixture) -> None:
    with served(caplog) as (memory, port), connected(port) as client:
        assert client.write_registers(first, [1] * count).exception_code == ILLEGAL_ADDRESS
        assert not any(memory.read_control())


@pytest.mark.parametrize(("first", "count"), [(43, 2), (99, 2), (100 + STATUS_WORDS - 1, 2), (300, 1), (65_535, 1)])
def test_registers_that_are_none_are_refused(first: int, count: int, caplog: pytest.LogCaptureFixture) -> None:
    with served(caplog) as (_, port), connected(port) as client:
        assert client.read_holding_registers(first, count=count).exception_code == ILLEGAL_ADDRESS
        assert client.read_input_registers(0, count=1).exception_code == ILLEGAL_ADDRESS
        assert client.read_holding_registers(0, count=1, device_id=9).isError()


def test_with_one_connection_too_many_the_oldest_gives_way(caplog: pytest.LogCaptureFixture) -> None:
    with served(caplog, max_connections=2) as (_, port), ExitStack() as clients:
        first, second, third = (clients.enter_context(connected(port)) for _ in range(3))
        assert not third.read_holding_registers(0, count=1).isError()
        assert not second.read_holding_registers(0, count=1).isError()
        with pytest.raises(ModbusException):
            first.read_holding_registers(0, count=1)


def test_rubbish_ends_no_server(caplog: pytest.LogCaptureFixture) -> None:
    with served(caplog) as (_, port):
        with socket.create_connection(("127.0.0.1", port), 5) as rude:
            rude.sendall(b"GET / HTTP/1.1\r\n\r\n" * 200)
        with connected(port) as client:
            assert not client.read_holding_registers(0, count=1).isError()


def test_a_taken_port_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    said = pytest.raises(ConfigError, match=r"\[gateway.plc\] host, port: can't listen at")
    with served(caplog) as (_, port), said, served(caplog, port=port):
        pass


def test_a_hundred_servers_and_their_clients_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    before = threading.active_count()
    for _ in range(100):
        with served(caplog) as (_, port), connected(port) as client:
            client.write_register(0, 1)
    assert threading.active_count() == before
