"""Which memory a table asks for, and where its words do not fit."""

from typing import Any

import pytest
from pydantic import ValidationError

from shadowline.errors import ConfigError
from station.config.gateways import ModbusConfig, S7Config
from station.gateways.plc.drivers import opening_of

MODBUS = {"type": "modbus", "role": "client", "host": "127.0.0.1"}
S7 = {"type": "s7", "host": "127.0.0.1", "control_block": 10, "status_block": 10}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status_register": 43}, "control_register 0 to 43 and status_register 43 to 199 lie in one another"),
        ({"control_register": 250}, "lie in one another: move one of them"),
        ({"status_register": 65_500}, "beyond 65535"),
    ],
)
def test_registers_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refusal:
        opening_of("press", ModbusConfig.model_validate(MODBUS | changes))
    assert str(refusal.value).startswith("[gateway.press] ")


def test_areas_of_one_data_block_lie_apart() -> None:
    with pytest.raises(ConfigError, match="control_byte 0 to 87 and status_byte 80 to 393 lie in one another"):
        opening_of("press", S7Config.model_validate(S7 | {"status_byte": 80}))
    assert opening_of("press", S7Config.model_validate(S7 | {"status_byte": 88}))
    assert opening_of("press", S7Config.model_validate(S7 | {"status_block": 11}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"role": "server", "host": "0.0.0.0"}, "plain_network = true leaves it open"),
        ({"port": 0}, "give the PLC's, mostly 502"),
        ({"host": "not a host"}, "host"),
        ({"unit": 0}, "unit"),
        ({"silent_s": 0}, "silent_s"),
        ({"labels": ["x" * 33]}, "labels"),
    ],
)
def test_tables_that_can_not_be_meant_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModbusConfig.model_validate(MODBUS | changes)


def test_an_open_server_is_meant_where_it_says_so() -> None:
    ModbusConfig.model_validate(MODBUS | {"role": "server", "host": "0.0.0.0", "plain_network": True})
