import re
from typing import Any

import pytest
from pydantic import ValidationError

from station.config.gateways import MqttConfig


def table(**values: Any) -> MqttConfig:
    return MqttConfig.model_validate({"type": "mqtt"} | values)


def test_a_broker_on_this_computer_needs_nothing() -> None:
    assert (table().host, table().port, table().format) == ("127.0.0.1", 1883, "json")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"host": "broker.plant"}, "host broker.plant is beyond this computer"),
        ({"host": "10.0.0.5"}, "plain_network = true leaves it open"),
        ({"tls": {"ca": "ca.pem", "key": "own.key"}}, "certificate and key belong together"),
        ({"password_file": "secret"}, "password_file needs the user"),
        ({"format": "sparkplug", "topic": "plant"}, 'topic and keep_unheard are for format = "json"'),
        ({"format": "sparkplug", "keep_unheard": True}, 'topic and keep_unheard are for format = "json"'),
        ({"group": "plant"}, 'group and primary_host are for format = "sparkplug"'),
        ({"primary_host": "scada"}, 'group and primary_host are for format = "sparkplug"'),
        ({"keep_unheard": True, "version": "3.1.1"}, 'keep_unheard needs version = "5"'),
        ({"topic": "plant/#"}, "topic"),
        ({"topic": "plant/"}, "topic"),
        ({"topic": "$SYS/plant"}, "topic"),
        ({"format": "sparkplug", "group": "a/b"}, "group"),
        ({"client_id": "a b"}, "client_id"),
        ({"port": 0}, "port"),
        ({"version": "3.1"}, "version"),
        ({"keep_alive_s": 0}, "keep_alive_s"),
        ({"qos": 2}, "qos"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        table(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"host": "broker.plant", "tls": {"ca": "ca.pem"}},
        {"host": "broker.plant", "plain_network": True},
        {"host": "localhost"},
        {"host": "::1"},
        {"topic": "plant/hall 2/line"},
        {"topic": "p"},
        {"format": "sparkplug", "group": "plant 2", "primary_host": "scada"},
    ],
)
def test_what_is_meant_is_taken(values: dict[str, Any]) -> None:
    assert table(**values).type == "mqtt"
