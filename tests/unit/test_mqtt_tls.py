from pathlib import Path

import pytest

from shadowline.errors import ConfigError, KeysError
from station.config.gateways.mqtt import MqttTlsConfig
from station.gateways.mqtt.tls import context_of, password_of
from tests.mqtt_broker import Certificates, make_certificates


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def secret(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "secret"
    file.write_bytes(text.encode("latin-1"))
    file.chmod(mode)
    return file


def test_a_password_is_the_one_line_of_its_file(tmp_path: Path) -> None:
    assert password_of(secret(tmp_path, "very long word\n")) == "very long word"


@pytest.mark.parametrize("text", ["", "\n", "one\ntwo\n", "\xff"])
def test_what_is_no_password_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="write the password alone into it"):
        password_of(secret(tmp_path, text))


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="others can get at it: chmod 600"):
        password_of(secret(tmp_path, "word", 0o644))
    with pytest.raises(KeysError, match="no such file"):
        password_of(tmp_path / "none")


def test_certificates_that_belong_together_are_taken(made: Certificates) -> None:
    config = MqttTlsConfig(ca=made.ca, certificate=made.gateway, key=made.key_of(made.gateway))
    assert context_of(config).check_hostname


def test_a_key_that_others_can_read_is_refused(made: Certificates) -> None:
    key = made.key_of(made.gateway)
    key.chmod(0o644)
    with pytest.raises(KeysError, match="others can get at it"):
        context_of(MqttTlsConfig(ca=made.ca, certificate=made.gateway, key=key))


def test_files_that_are_none_are_named(made: Certificates, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tls ca .*none.pem: no such file or directory: name a file of PEM"):
        context_of(MqttTlsConfig(ca=tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"tls ca .*secret: .*: name a file of PEM certificates"):
        context_of(MqttTlsConfig(ca=secret(tmp_path, "no certificate")))
    with pytest.raises(ConfigError, match=r"key values mismatch: give a certificate and the key that belongs to it"):
        context_of(MqttTlsConfig(ca=made.ca, certificate=made.gateway, key=made.key_of(made.broker)))
