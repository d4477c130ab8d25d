"""The last number that was given, in memory that outlives the process. Whoever numbers messages writes it."""

import contextlib
import logging
import mmap
import os
from pathlib import Path
from typing import Self

__all__ = ["Mark", "marks_folder"]

logger = logging.getLogger(__name__)

_BYTES = mmap.PAGESIZE
_WORD = slice(8, 40)


def marks_folder() -> Path:
    """Return the folder in memory where marks lie: the service's own, else the computer's."""
    return Path(os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or "/dev/shm")


class Mark:
    """One number in a file that lies in memory, so that writing it is one store and never waits for a disk."""

    def __init__(self, memory: mmap.mmap, path: Path, word: str) -> None:
        """Take the mapped page `memory` of the file at `path`, in which `word` stands."""
        self.word = word
        self._memory = memory
        self._path = path
        self._cells = memoryview(memory).cast("Q")

    @classmethod
    def find(cls, path: Path, word: str) -> Self | None:
        """Return the mark at `path`, when this user made it and `word` stands in it."""
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            about = os.fstat(file)
            if about.st_uid != os.geteuid() or about.st_size != _BYTES:
                return None
            memory = mmap.mmap(file, _BYTES)
        finally:
            os.close(file)
        if memory[_WORD] != word.encode():
            memory.close()
            return None
        return cls(memory, path, word)

    @classmethod
    def make(cls, path: Path, word: str) -> Self:
        """Return a new mark at `path` with `word` (32 letters) in it, or one that ends with the process."""
        page = bytes(8) + word.encode() + bytes(_BYTES - _WORD.stop)
        try:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            logger.warning("%s: %s: after a crash numbers will leap, since the last one is not known", path, fault)
            return cls(mmap.mmap(-1, _BYTES), path, word)
        try:
            os.write(file, page)
            return cls(mmap.mmap(file, _BYTES), path, word)
        finally:
            os.close(file)

    @property
    def number(self) -> int:
        """The number that was written last."""
        return self._cells[0]

    def write(self, number: int) -> None:
        """Keep that `number` is given. Callers take turns."""
        self._cells[0] = number

    def remove(self) -> None:
        """Delete the file."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Give the memory back; the file stays."""
        self._cells.release()
        self._memory.close()
