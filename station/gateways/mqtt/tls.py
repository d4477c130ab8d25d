"""What a broker is known by, and what it knows the gateway by. The gateway's thread."""

import ssl
from pathlib import Path

from shadowline.errors import ConfigError
from station.config.gateways.mqtt import MqttTlsConfig
from station.security.private_files import check_private

__all__ = ["context_of", "password_of"]

_MOST_BYTES = 4096


class _Socket(ssl.SSLSocket):
    """One that closes itself when the two do not come to terms; paho leaves it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def context_of(config: MqttTlsConfig) -> ssl.SSLContext:
    """Return the terms of the connection: TLS 1.2 or newer, a certificate from `ca`, made out to the host.

    Raises `ConfigError` for files that can't be used, `KeysError` for a key that others can read.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca)
    except (OSError, ssl.SSLError) as fault:
        raise ConfigError(f"[gateway] tls ca {config.ca}: {_said(fault)}: name a file of PEM certificates") from None
    context.sslsocket_class = _Socket
    if config.certificate is not None and config.key is not None:
        check_private(config.key)
        try:
            context.load_cert_chain(config.certificate, config.key, password="")
        except (OSError, ssl.SSLError) as fault:
            raise ConfigError(
                f"[gateway] tls certificate {config.certificate}, key {config.key}: {_said(fault)}: "
                "give a certificate and the key that belongs to it, PEM, without a password"
            ) from None
    return context


def password_of(file: Path) -> str:
    """Return the one line of `file`. Raises `KeysError` where others can read it, `ConfigError` for more or nothing."""
    check_private(file)
    try:
        with file.open("rb") as opened:
            lines = opened.read(_MOST_BYTES).decode().splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    if len(lines) != 1 or not lines[0]:
        raise ConfigError(f"[gateway] password_file {file}: not one line of text: write the password alone into it")
    return lines[0]


def _said(fault: OSError) -> str:
    if isinstance(fault, ssl.SSLError):
        return (fault.reason or "no certificates in PEM").lower().replace("_", " ")
    return (fault.strerror or str(fault)).lower()
