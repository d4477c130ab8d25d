"""Records in files that their owner alone can get at: checked when read, whole or not there when written. Pure."""

import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

from shadowline.errors import KeysError

__all__ = ["check_private", "make_private_folder", "read_record", "write_record"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MAX_BYTES = 16_384

_Record = TypeVar("_Record", bound=msgspec.Struct)


def read_record(path: Path, kind: type[_Record]) -> _Record:
    """Return the record in `path`. Raises `KeysError` where it is none, or others can get at it."""
    check_private(path)
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=kind)
    except OSError as fault:
        raise KeysError(_refusal(path, fault)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # whose words may hold what stands in the file
        raise KeysError(f"{path}: damaged: put the file back from a copy, or make it anew") from None


def write_record(path: Path, record: msgspec.Struct) -> None:
    """Put `record` at `path` for the owner of its folder alone. Raises `KeysError`."""
    make_private_folder(path.parent)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            if os.getuid() == 0:  # the station runs as the folder's owner, and must read what root puts there
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        beside.replace(path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise KeysError(_refusal(path, fault)) from None


def make_private_folder(folder: Path) -> None:
    """Make `folder` for its owner alone, or make sure that it is so. Raises `KeysError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise KeysError(_refusal(folder, fault)) from None
    check_private(folder)


def check_private(path: Path) -> None:
    """Raise `KeysError` where `path` can't be had, others may use it, or it belongs to somebody else."""
    try:
        found = path.stat()
    except OSError as fault:
        raise KeysError(_refusal(path, fault)) from None
    if found.st_mode & _OTHERS:
        mode = "700" if stat.S_ISDIR(found.st_mode) else "600"
        raise KeysError(f"{path}: others can get at it: chmod {mode} {path}")
    if os.getuid() != 0 and found.st_uid not in (0, os.getuid()):
        raise KeysError(f"{path}: belongs to another user: sudo chown {os.getuid()} {path}")


def _refusal(path: Path, fault: OSError) -> str:
    return f"{path}: {(fault.strerror or str(fault)).lower()}"
