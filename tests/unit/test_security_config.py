"""Which endpoints leave this computer, and what the configuration then asks for."""

from pathlib import Path
from typing import Any

import pytest

from shadowline.errors import ConfigError
from station.config import Config
from station.config.security import is_local
from station.config_file import parse
from station.security.survey import survey

LOCAL = [
    "ipc:///run/events",
    "tcp://127.0.0.1:1",
    "tcp://127.8.9.1:1",
    "tcp://localhost:1",
    "tcp://[::1]:1",
]
BEYOND = [
    "tcp://0.0.0.0:1",
    "tcp://*:1",
    "tcp://[::]:1",
    "tcp://192.168.0.5:1",
    "tcp://[fe80::1]:1",
    "tcp://eth0:1",
    "tcp://lo:1",
    "tcp://station.plant:1",
    "tcp://127.evil.example:1",
    "tcp://127.1:1",
    "tcp://localhost.evil.example:1",
    "tcp://127.0.0.1;10.0.0.1:1",
    "tcp://1",
]
KEY = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"


def configure(**tables: Any) -> Config:
    camera = [{"name": "top", "type": "simulated"}]
    return parse({"camera": camera, "engine": {"backend": "fake"}, **tables}, Path("/line/config.toml"))


@pytest.mark.parametrize("endpoint", LOCAL)
def test_what_only_this_computer_reaches_needs_no_keys(endpoint: str) -> None:
    assert is_local(endpoint)
    (publish,) = survey(configure(publish={"endpoint": endpoint}))
    assert (publish.keyed, publish.open, publish.told) == (False, False, endpoint)


@pytest.mark.parametrize("endpoint", BEYOND)
def test_what_others_reach_needs_keys(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"\[publish\] endpoint .* is open to the network: .*station keys new"):
        configure(publish={"endpoint": endpoint})
    (publish,) = survey(configure(publish={"endpoint": endpoint}, security={"folder": "keys"}))
    assert (publish.keyed, publish.open) == (True, False)


@pytest.mark.parametrize("endpoint", BEYOND)
def test_plain_sockets_are_meant_and_told(endpoint: str) -> None:
    tables = {"publish": {"endpoint": endpoint, "plain_network": True}}
    for security in ({}, {"folder": "keys"}):
        (publish,) = survey(configure(**tables, security=security))
        assert publish.open
        assert "open to the network without keys" in publish.told


def test_loopback_asks_for_keys_on_demand() -> None:
    (publish,) = survey(configure(security={"folder": "keys", "loopback": True}))
    assert publish.keyed
    with pytest.raises(ConfigError, match=r'loopback asks for keys: folder = "keys"'):
        configure(security={"loopback": True})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "journal": (
        {"journal": {"folder": "journal", "endpoint": "tcp://*:2"}},
        r"\[journal\] endpoint tcp://\*:2 is open to the network: .*station keys new.*plain_network = true",
    ),
    "control": ({"control": {"network": "tcp://127.0.0.1:3"}}, r"\[control\] network: .*station keys new"),
    "encoder": (
        {"line": {"encoder": {"type": "zeromq", "endpoint": "tcp://plc:4", "mm_per_count": 1.0}}},
        r"\[line\] encoder: endpoint tcp://plc:4 is beyond this computer: publisher_key .*plain_network = true",
    ),
    "encoder without a folder": (
        {"line": {"encoder": {"type": "zeromq", "endpoint": "tcp://plc:4", "mm_per_count": 1.0, "publisher_key": KEY}}},
        r'\[line.encoder\] publisher_key: \[security\] folder = "keys"',
    ),
}


@pytest.mark.parametrize(("tables", "told"), REFUSED.values(), ids=REFUSED)
def test_no_socket_is_open_unmeant(tables: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refusal:
        configure(**tables)
    assert "\n" not in str(refusal.value)


def test_control_over_the_network_has_no_plain_form() -> None:
    with pytest.raises(ConfigError, match=r"\[control\] plain_network: unknown key"):
        configure(control={"network": "tcp://*:3", "plain_network": True}, security={"folder": "keys"})


def test_a_journal_that_is_not_kept_has_no_socket() -> None:
    assert [exposure.place for exposure in survey(configure(journal={"endpoint": "tcp://*:2"}))] == ["publish"]


def test_every_socket_is_surveyed() -> None:
    config = configure(
        journal={"folder": "journal"},
        control={"network": "tcp://*:3"},
        line={"encoder": {"type": "zeromq", "endpoint": "tcp://plc:4", "mm_per_count": 1.0, "publisher_key": KEY}},
        security={"folder": "keys"},
    )
    found = {exposure.place: exposure.keyed for exposure in survey(config)}
    assert found == {"publish": False, "journal": False, "control": True, "line.encoder": True}
