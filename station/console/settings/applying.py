"""A new text of `config.toml` put in place of the old one, and taken over by the running station. Any thread."""

import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Literal, TypeAlias

from shadowline.errors import ConfigError, RestartNeeded, StationError
from station.config_file import load
from station.console.settings.editing import check
from station.console.settings.versions import Versions
from station.control_protocol import Reloaded
from station.reload import changed_keys

__all__ = ["Applied", "ConfigFile", "Outcome", "Outdated", "sha_of"]

logger = logging.getLogger(__name__)

Outcome: TypeAlias = Literal["taken", "restart", "refused", "silent"]
"""Holds from the next frame on; from the station's next start on; not at all, the old text is back; no station runs."""

_MOST_BYTES: Final = 2**20
_OTHER_PROCESSES: Final = ("[console]", "[gateway")
"""Tables that the station does not read."""


class Outdated(StationError):
    """Somebody else changed the file meanwhile."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a text."""

    outcome: Outcome
    words: str


class ConfigFile:
    """The file that the station reads, its history, and the way to have it read again. One change at a time."""

    def __init__(self, path: Path, versions: Versions, reload: Callable[[], Reloaded]) -> None:
        """`reload` asks the station; it raises `StationError` where none answers."""
        self.path = path
        self.versions = versions
        self._reload = reload
        self._changing = Lock()

    def read(self) -> str:
        """Return the text. Raises `ConfigError` where it can't be read."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise ConfigError(f"{self.path}: can't be read: {fault}") from None

    def needs_restart(self, text: str) -> str:
        """Return what of `text` can't hold before something starts anew; empty where all can. Raises `ConfigError`."""
        new = check(text, self.path)
        try:
            changed = changed_keys(load(self.path), new)
        except RestartNeeded as fault:
            return str(fault)
        except ConfigError:
            return ""  # what is in the file now is no configuration
        others = [key for key in changed if key.startswith(_OTHER_PROCESSES)]
        return f"{', '.join(others)}: holds when that process is started again" if others else ""

    def apply(self, text: str, base: str, who: str) -> Applied:
        """Write `text`, have the station read it, and note what came of it; what it refuses is taken back.

        Raises `Outdated` where the file is no longer the one with the hash `base`, `ConfigError` for a text that is no
        configuration or can't be written.
        """
        if len(text.encode()) > _MOST_BYTES:
            raise ConfigError(f"a configuration of over {_MOST_BYTES >> 20} MiB is none")
        with self._changing:
            old = self.read()
            if sha_of(old) != base:
                raise Outdated("the file was changed meanwhile: load the page again, and change it anew")
            check(text, self.path)
            self._note_what_was_found(old)
            self._write(text)
            applied = self._take_over()
            if applied.outcome == "refused":
                self._write(old)
            self.versions.add(who, applied.outcome, applied.words, text)
            logger.info("configuration by %s: %s: %s", who, applied.outcome, applied.words)
            return applied

    def _take_over(self) -> Applied:
        try:
            reloaded = self._reload()
        except StationError as fault:
            return Applied("silent", str(fault))
        return Applied(reloaded.outcome, reloaded.words)

    def _note_what_was_found(self, text: str) -> None:
        """Keep a text that was not applied here, so that it can be put back."""
        applied = next((one for one in self.versions.newest() if one.outcome != "refused"), None)
        if applied is None or applied.text != text:
            self.versions.add("", "found", "", text)

    def _write(self, text: str) -> None:
        """Put `text` in place of the file, whole or not at all; owner and mode stay. Raises `ConfigError`."""
        target = self.path.resolve()
        work = target.with_name(f".{target.name}.new")
        try:
            before = target.stat()
            with open(os.open(work, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                with suppress(PermissionError):  # another's file, that a group may write: it becomes ours
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o7777)
                os.fsync(file.fileno())
            work.replace(target)
        except OSError as fault:
            with suppress(OSError):
                work.unlink()
            raise ConfigError(
                f"{target}: can't be written: {fault.strerror}: let the console's user write there"
            ) from None
        _sync(target.parent)


def sha_of(text: str) -> str:
    """Return what tells one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(folder: Path) -> None:
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
