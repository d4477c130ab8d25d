"""The table [metrics]: what is open to the network must be guarded, or meant."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from station.config import MetricsConfig

GUARDED = {"certificate": Path("c.pem"), "key": Path("k.pem"), "password_file": Path("p")}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_computer_needs_no_guard(host: str) -> None:
    assert MetricsConfig(host=host).local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "fe80::1", "station.example", "localhost.example"])
def test_the_network_needs_tls_and_a_password(host: str) -> None:
    with pytest.raises(ValidationError, match=r"give certificate, key and password_file, or .* plain_network = true"):
        MetricsConfig(host=host)
    assert not MetricsConfig(host=host, **GUARDED).local
    assert MetricsConfig(host=host, plain_network=True).host == host


HALVES: dict[str, tuple[dict[str, Any], str]] = {
    "a certificate without its key": ({"certificate": Path("c.pem")}, "give both, or none"),
    "a key without its certificate": ({"key": Path("k.pem")}, "give both, or none"),
    "only TLS": ({**GUARDED, "password_file": None, "host": "0.0.0.0"}, "open to the network"),
    "only a password": ({"password_file": Path("p"), "host": "0.0.0.0"}, "open to the network"),
    "no host": ({"host": ""}, "at least 1 character"),
    "a name that is no address": ({"host": "127.evil.example"}, "open to the network"),
}


@pytest.mark.parametrize(("table", "words"), HALVES.values(), ids=HALVES)
def test_half_a_guard_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MetricsConfig(**table)
