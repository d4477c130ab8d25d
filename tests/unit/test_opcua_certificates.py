"""The server's certificate and those that it trusts."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shadowline.errors import ConfigError, KeysError
from station.gateways.opcua.certificates import Trust, make_certificate, own_certificate

URI = "urn:host:shadowline:line:ua"
_DAY = timedelta(days=1)


def _der(days: int = 1, begin: datetime | None = None) -> bytes:
    return make_certificate("urn:client", ["localhost"], days * _DAY, begin)[0].public_bytes(Encoding.DER)


def test_the_first_start_makes_a_certificate_and_later_ones_keep_it(tmp_path: Path) -> None:
    own = own_certificate(tmp_path / "ua", URI, ["host", "10.0.0.5"])
    assert own_certificate(tmp_path / "ua", URI, ["host"]) == own
    assert own.days_left > 1800
    names = own.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [URI]
    assert names.get_values_for_type(x509.DNSName) == ["host"]
    for file in ("server.key", "server.der"):
        assert stat.S_IMODE((tmp_path / "ua" / file).stat().st_mode) == 0o600
    assert "BEGIN" not in repr(own)


def _replace(folder: Path, days: int, begin: datetime | None = None, uri: str = URI) -> None:
    own_certificate(folder, URI, [])
    made, key = make_certificate(uri, [], days * _DAY, begin)
    (folder / "server.der").write_bytes(made.public_bytes(Encoding.DER))
    (folder / "server.key").write_bytes(key)


@pytest.mark.parametrize("begin", [datetime.now(UTC) - 9 * _DAY, datetime.now(UTC) + _DAY], ids=["expired", "early"])
def test_a_certificate_out_of_its_time_ends_the_start(tmp_path: Path, begin: datetime) -> None:
    _replace(tmp_path / "ua", 1, begin)
    with pytest.raises(ConfigError, match=r"server.der: valid from .* which is not now: move it and server.key away"):
        own_certificate(tmp_path / "ua", URI, [])


def test_a_certificate_of_another_station_ends_the_start(tmp_path: Path) -> None:
    _replace(tmp_path / "ua", 9, uri="urn:other")
    with pytest.raises(ConfigError, match="not made for urn:host"):
        own_certificate(tmp_path / "ua", URI, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"junk", "no private key"), (make_certificate("urn:x", [], _DAY)[1], "not the key of server.der")],
)
def test_a_key_that_does_not_fit_ends_the_start(tmp_path: Path, content: bytes, words: str) -> None:
    own_certificate(tmp_path / "ua", URI, [])
    (tmp_path / "ua" / "server.key").write_bytes(content)
    with pytest.raises(KeysError, match=words):
        own_certificate(tmp_path / "ua", URI, [])


def test_a_key_that_others_can_read_ends_the_start(tmp_path: Path) -> None:
    own_certificate(tmp_path / "ua", URI, [])
    (tmp_path / "ua" / "server.key").chmod(0o644)
    with pytest.raises(KeysError, match="others can get at it: chmod 600"):
        own_certificate(tmp_path / "ua", URI, [])


def test_a_stranger_is_kept_to_be_looked_at_and_then_let_in(tmp_path: Path) -> None:
    trust, der = Trust(tmp_path / "ua"), _der()
    with pytest.raises(KeysError, match=r"not trusted: station opcua trust .*rejected") as refused:
        trust.check(der)
    kept = Path(str(refused.value).split()[-4])
    assert kept.read_bytes() == der
    trust.add(kept)
    trust.check(der)
    assert [(subject, known) for _, subject, known in trust.listed()] == [("CN=client", True)]


def test_a_flood_of_strangers_stays_small(tmp_path: Path) -> None:
    trust, rejected, der = Trust(tmp_path / "ua"), tmp_path / "ua" / "rejected", _der()
    for i in range(30):
        (rejected / f"{i}.der").write_bytes(der)
    with pytest.raises(KeysError):
        trust.check(der)
    assert len(list(rejected.iterdir())) == 20


def test_who_is_trusted_is_still_refused_when_expired(tmp_path: Path) -> None:
    trust, der = Trust(tmp_path / "ua"), _der(1, datetime.now(UTC) - 5 * _DAY)
    (tmp_path / "ua" / "trusted" / "plc.der").write_bytes(der)
    with pytest.raises(KeysError, match="CN=client: valid from"):
        trust.check(der)


def test_what_is_no_certificate_lets_nobody_in_and_harms_nobody(tmp_path: Path) -> None:
    trust, der = Trust(tmp_path / "ua"), _der()
    (tmp_path / "ua" / "trusted" / "a.der").write_bytes(b"junk")
    (tmp_path / "ua" / "trusted" / "b.der").write_bytes(der)
    trust.check(der)
    with pytest.raises(KeysError, match="no certificate"):
        trust.check(b"junk")
    with pytest.raises(KeysError, match="no certificate"):
        trust.add(tmp_path / "ua" / "trusted" / "a.der")
