"""The password that opens the metrics: drawn, never chosen, and kept as its hash. Pure.

A drawn secret of 256 bits can't be guessed, so that one round of SHA-256 keeps it, and a flood of wrong ones costs the
line nothing; a chosen one would need a slow hash, which is a way to slow the line from outside.
"""

import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path

from shadowline.errors import ConfigError

__all__ = ["Secret", "draw"]

_KIND = "sha256:"


class Secret:
    """Compares what a client sends with the hash in a file."""

    def __init__(self, file: Path) -> None:
        """Read `file`, as `station metrics password` writes it. Raises `ConfigError` for anything else."""
        try:
            text = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"[metrics] password_file {file}: {error}") from None
        if not re.fullmatch(f"{_KIND}[0-9a-f]{{64}}", text):
            raise ConfigError(f"[metrics] password_file {file}: not written by: station metrics password {file}")
        self._digest = bytes.fromhex(text.removeprefix(_KIND))

    def opens(self, authorization: str) -> bool:
        """Whether the header `Authorization` carries the password (Basic; any user name)."""
        scheme, _, token = authorization.partition(" ")
        try:
            _, _, password = binascii.a2b_base64(token, strict_mode=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        right = hmac.compare_digest(hashlib.sha256(password).digest(), self._digest)
        return right and scheme.lower() == "basic"


def draw() -> tuple[str, str]:
    """Return a new password, and the line to keep of it."""
    password = secrets.token_urlsafe(32)
    return password, _KIND + hashlib.sha256(password.encode()).hexdigest() + "\n"
