"""The registers of a PLC that is a Modbus server."""

import pytest

from shadowline.errors import PeerLost
from station.config.gateways import ModbusConfig
from station.gateways.plc.modbus_client import modbus_client
from station.gateways.plc.registers import CONTROL, RESULT
from tests.modbus_peer import serving


def settings(port: int, **changes: object) -> ModbusConfig:
    table = {"type": "modbus", "role": "client", "host": "127.0.0.1", "port": port, "connect_s": 1.0}
    return ModbusConfig.model_validate(table | changes)


def test_words_are_read_and_written_where_the_table_says() -> None:
    with serving() as peer, modbus_client(settings(peer.port, control_register=10, reject_coil=0)) as memory:
        peer.holding[10 : 10 + CONTROL.words] = range(CONTROL.words)
        assert list(memory.read_control()) == [*range(CONTROL.words)]
        memory.write_status(40, [7] * RESULT.words)
        assert peer.holding[140 : 140 + RESULT.words] == [7] * RESULT.words
        memory.write_reject(True)
        assert peer.coil is True
        memory.write_reject(False)
        assert peer.coil is False


def test_a_plc_without_these_registers_is_told_what_it_lacks() -> None:
    with serving(words=20) as peer, modbus_client(settings(peer.port)) as memory:
        with pytest.raises(PeerLost, match="refuses holding registers 0 to 43: Modbus exception 2"):
            memory.read_control()
        with pytest.raises(PeerLost, match="refuses to write holding registers 100 to 100"):
            memory.write_status(0, [1])


def test_a_coil_that_is_none_is_told() -> None:
    said = pytest.raises(PeerLost, match="refuses to write coil 500")
    with serving() as peer, modbus_client(settings(peer.port, reject_coil=500)) as memory, said:
        memory.write_reject(True)


def test_a_plc_that_is_away_and_one_that_goes_away() -> None:
    with serving() as peer:
        port = peer.port
        with modbus_client(settings(port)) as memory:
            memory.read_control()
    with pytest.raises(PeerLost, match="can't be reached"), modbus_client(settings(port)):
        pass


def test_a_hundred_sessions_leave_nothing_behind() -> None:
    with serving() as peer:
        for _ in range(100):
            with modbus_client(settings(peer.port)) as memory:
                memory.write_status(0, [1])
        assert peer.connections == 100
