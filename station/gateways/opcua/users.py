"""Users of the OPC UA server: names, and hashes of passwords that were drawn, in a file of mode 600. Pure.

A drawn password of 256 bits can't be guessed, so that one round of SHA-256 keeps it, and wrong ones cost nothing.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

import msgspec

from station.security.keys import check_name
from station.security.private_files import make_private_folder, read_record, write_record

__all__ = ["Users"]

_FILE = "users.json"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    sha256: dict[str, str]


class Users:
    """Those who may use the server; read anew for each that comes, so that a change holds at once."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE

    def add(self, name: str) -> str:
        """Let in `name` and return the password that was drawn; an older one ends. Raises `KeysError`."""
        check_name(name)
        make_private_folder(self._file.parent)
        password = secrets.token_urlsafe(32)
        write_record(self._file, _File({**self._hashes(), name: _hash(password)}))
        return password

    def remove(self, name: str) -> bool:
        """Let `name` in no more; whether there was one. Raises `KeysError`."""
        hashes = self._hashes()
        known = hashes.pop(name, None) is not None
        if known:
            write_record(self._file, _File(hashes))
        return known

    def names(self) -> list[str]:
        """Return who may come in. Raises `KeysError` where the file is damaged or open to others."""
        return sorted(self._hashes())

    def opens(self, name: str, password: str) -> bool:
        """Whether `password` is that of `name`. Raises as `names`."""
        return hmac.compare_digest(self._hashes().get(name, ""), _hash(password))

    def _hashes(self) -> dict[str, str]:
        return read_record(self._file, _File).sha256 if self._file.exists() else {}


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
