"""The certificate that metrics, or the console, are served with. Pure."""

import ssl
from pathlib import Path

from shadowline.errors import ConfigError

__all__ = ["server_context"]


def server_context(certificate: Path, key: Path, table: str = "metrics") -> ssl.SSLContext:
    """Return what serves TLS 1.2 and newer with these PEM files, which `table` names.

    Raises `ConfigError` where they can't be used.
    """
    _refuse_open_key(key, table)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password="")  # without one, OpenSSL would ask at the terminal
    except ssl.SSLError as error:
        what = (error.reason or "no PEM file").lower().replace("_", " ")
        raise ConfigError(f"[{table}] certificate {certificate}, key {key}: {what}") from None
    except OSError as error:
        raise ConfigError(f"[{table}] certificate {certificate}: {error.strerror}") from None
    return context


def _refuse_open_key(key: Path, table: str) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise ConfigError(f"[{table}] key {key}: {error.strerror}") from None
    if mode & 0o007:
        raise ConfigError(f"[{table}] key {key} can be read by everybody: chmod o= {key}")
