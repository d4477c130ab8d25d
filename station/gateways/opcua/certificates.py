"""The server's own certificate and those of the clients that it trusts, as files in one folder. Pure.

server.der, server.key   made at the first start; clients must trust the certificate
trusted/                 certificates of clients that are let in, DER or PEM
rejected/                of clients that knocked and are not trusted; the oldest give way
"""

import hashlib
import ipaddress
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shadowline.errors import ConfigError, KeysError
from station.security.private_files import check_private, make_private_folder

__all__ = ["Own", "Trust", "make_certificate", "own_certificate"]

_CERTIFICATE, _KEY = "server.der", "server.key"
_YEARS = 5
_MOST_TRUSTED = 200
_MOST_REJECTED = 20
_MAX_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Own:
    """The server's certificate, and its key as PEM."""

    certificate: x509.Certificate
    key: bytes = field(repr=False)

    @property
    def days_left(self) -> int:
        """Whole days until it expires."""
        return (self.certificate.not_valid_after_utc - datetime.now(UTC)).days


def own_certificate(folder: Path, uri: str, hosts: list[str]) -> Own:
    """Return the server's certificate, made for `uri` and `hosts` where there is none yet.

    Raises `ConfigError` where it has expired or is another application's, `KeysError` where its files can't be used.
    """
    make_private_folder(folder)
    file, key = folder / _CERTIFICATE, folder / _KEY
    if not file.exists() and not key.exists():
        made, private = make_certificate(uri, hosts, timedelta(days=365 * _YEARS))
        _write(key, private)
        _write(file, made.public_bytes(serialization.Encoding.DER))
    check_private(key)
    own = Own(_read(file), _content(key))
    _refuse_unusable(file, own.certificate, uri)
    _refuse_strange(key, own)
    return own


def make_certificate(
    uri: str, hosts: list[str], valid: timedelta, begin: datetime | None = None
) -> tuple[x509.Certificate, bytes]:
    """Return a self-signed certificate of an OPC UA application, good as server and client, and its key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    begin = begin or datetime.now(UTC) - timedelta(minutes=5)  # clocks of clients may be late
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, uri.rpartition(":")[2][:64])])
    usage = dict.fromkeys(("key_agreement", "crl_sign", "encipher_only", "decipher_only"), False)
    usage |= dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), True)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + valid)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), *map(_host, hosts)]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, **usage), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    return made, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


class Trust:
    """Knows the clients that are let in; what is put into the folder holds from the next connection on."""

    def __init__(self, folder: Path) -> None:
        """Make the folders where they lack. Raises `KeysError`."""
        self._trusted, self._rejected = folder / "trusted", folder / "rejected"
        for one in (folder, self._trusted, self._rejected):
            make_private_folder(one)

    def check(self, der: bytes) -> None:
        """Raise `KeysError` unless this certificate is trusted and valid now; a stranger's is kept to be looked at."""
        certificate = _parse(der, "the client's certificate")
        if hashlib.sha256(der).digest() not in self._digests():
            kept = self._keep(der)
            raise KeysError(f"a client's certificate is not trusted: station opcua trust {kept} lets it in")
        _refuse_dated(f"the client's certificate {_subject(certificate)}", certificate)

    def add(self, file: Path) -> Path:
        """Let in the client whose certificate is in `file`; return where it was put. Raises `KeysError`."""
        certificate = _read(file)
        _refuse_dated(str(file), certificate)
        der = certificate.public_bytes(serialization.Encoding.DER)
        place = self._trusted / f"{_fingerprint(der)}.der"
        _write(place, der)
        (self._rejected / place.name).unlink(missing_ok=True)
        return place

    def listed(self) -> list[tuple[Path, str, bool]]:
        """Return each certificate's file, its subject, and whether it is trusted."""
        folders = ((self._trusted, True), (self._rejected, False))
        return [(file, _subject(_read(file)), known) for place, known in folders for file in sorted(place.iterdir())]

    def _digests(self) -> set[bytes]:
        found = set()
        for file in sorted(self._trusted.iterdir())[:_MOST_TRUSTED]:
            try:
                found.add(hashlib.sha256(_read(file).public_bytes(serialization.Encoding.DER)).digest())
            except KeysError:
                continue  # what is no certificate lets nobody in
        return found

    def _keep(self, der: bytes) -> Path:
        place = self._rejected / f"{_fingerprint(der)}.der"
        if not place.exists():
            kept = sorted(self._rejected.iterdir(), key=lambda file: file.stat().st_mtime)
            for old in kept[: max(0, len(kept) - _MOST_REJECTED + 1)]:
                old.unlink(missing_ok=True)
            _write(place, der)
        return place


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES)
    except OSError as fault:
        raise KeysError(f"{file}: {(fault.strerror or str(fault)).lower()}") from None


def _read(file: Path) -> x509.Certificate:
    return _parse(_content(file), str(file))


def _parse(content: bytes, whose: str) -> x509.Certificate:
    read = x509.load_pem_x509_certificate if content.startswith(b"-----") else x509.load_der_x509_certificate
    try:
        return read(content)
    except ValueError:
        raise KeysError(f"{whose}: no certificate: DER or PEM is wanted") from None


def _refuse_unusable(file: Path, certificate: x509.Certificate, uri: str) -> None:
    try:
        _refuse_dated(str(file), certificate)
    except KeysError as fault:
        raise ConfigError(f"{fault}: move it and {_KEY} away, and the next start makes new ones") from None
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if uri not in names.get_values_for_type(x509.UniformResourceIdentifier):
        raise ConfigError(f"{file}: not made for {uri}: move it and {_KEY} away, and the next start makes new ones")


def _refuse_strange(key: Path, own: Own) -> None:
    """Raise `KeysError` where the key is none, or another certificate's."""
    try:
        found = serialization.load_pem_private_key(own.key, None)
    except (ValueError, TypeError):
        raise KeysError(f"{key}: no private key: put the file back from a copy, or make both anew") from None
    if found.public_key() != own.certificate.public_key():
        raise KeysError(f"{key}: not the key of {_CERTIFICATE}: put the files back from a copy, or make both anew")


def _refuse_dated(whose: str, certificate: x509.Certificate) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= datetime.now(UTC) <= end:
        raise KeysError(f"{whose}: valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, which is not now")


def _fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()[:16]


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:200]


def _write(path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all, for its owner alone."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        beside.replace(path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise KeysError(f"{path}: {(fault.strerror or str(fault)).lower()}") from None
