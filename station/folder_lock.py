"""A folder that one station alone writes to. Used by the threads that own such folders."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shadowline.errors import ConfigError

__all__ = ["lock_folder"]


@contextmanager
def lock_folder(folder: Path, key: str) -> Iterator[None]:
    """Make `folder` if only it is missing, and keep every other station out of it while the block lasts.

    `key` is the one of config.toml that names it. Raises `ConfigError` when it can't be made, written or had alone. The
    lock ends with the process, however that ends; its file stays.
    """
    try:
        folder.mkdir(mode=0o750, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise ConfigError(f"{key} {folder}: {folder.parent} is missing: make it, or mount what belongs there") from None
    except OSError as fault:
        what = (fault.strerror or str(fault)).lower()
        raise ConfigError(f"{key} {folder}: {what}: let this user write there, or name another folder") from None
    try:
        _lock(lock, key, folder)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, key: str, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"{key} {folder}: another station uses it: stop that one, or give this one its own") from None
