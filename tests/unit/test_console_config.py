"""The table `[console]`: bound to this computer until it has a certificate, or is meant to be open."""

from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from station.config import ConsoleConfig
from station.config_file import parse

CAMERA = [{"name": "top", "type": "simulated"}]


def console(**table: object) -> ConsoleConfig:
    return parse({"camera": CAMERA, "console": table}, Path("/srv/line/config.toml")).console


def test_without_a_table_it_would_stay_at_this_computer() -> None:
    table = console()
    assert (table.host, table.local, table.folder) == ("127.0.0.1", True, None)
    assert table.url(9580) == "http://127.0.0.1:9580/"
    assert console(folder="console").folder == Path("/srv/line/console")


def test_beyond_this_computer_it_needs_a_certificate() -> None:
    with pytest.raises(
        ConfigError, match=r"\[console\]: host 0.0.0.0 is open to the network: give certificate and key"
    ):
        console(host="0.0.0.0")
    assert not console(host="0.0.0.0", plain_network=True).local
    open_one = console(host="::", certificate="c.pem", key="k.pem")
    assert open_one.url(443) == "https://[::]:443/"


def test_a_certificate_has_its_key() -> None:
    with pytest.raises(ConfigError, match="certificate and key belong together"):
        console(certificate="c.pem")
