"""`station opcua`: who is let in, by the command line."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from shadowline.errors import ConfigError, KeysError
from station.command.opcua import app
from station.gateways.opcua.certificates import make_certificate
from station.gateways.opcua.users import Users

CONFIG = """
[station]
name = "line"

[[camera]]
name = "top"
type = "simulated"

[gateway.ua]
type = "opcua"
folder = "ua"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(CONFIG)
    return file


def _call(config: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--config", str(config)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_a_user_comes_and_goes(config: Path) -> None:
    password = _call(config, "user", "scada")
    users = Users(config.parent / "ua")
    assert users.opens("scada", password)
    _call(config, "user", "scada", "--remove")
    assert users.names() == []
    with pytest.raises(ConfigError, match="scada: no such user; there are none"):
        _call(config, "user", "scada", "--remove")


def test_a_client_is_trusted_and_listed(config: Path) -> None:
    file = config.parent / "plc.der"
    made, _ = make_certificate("urn:vendor:plc", [], timedelta(days=1))
    file.write_bytes(made.public_bytes(Encoding.DER))
    place = _call(config, "trust", str(file))
    assert Path(place).read_bytes() == file.read_bytes()
    assert _call(config, "clients") == f"trusted  CN=plc  {place}"
    with pytest.raises(KeysError, match="no certificate: DER or PEM"):
        _call(config, "trust", str(config))


def test_the_gateway_must_be_there(config: Path) -> None:
    with pytest.raises(ConfigError, match="--gateway names one of type opcua; there are ua"):
        _call(config, "clients", "--gateway", "mes")
