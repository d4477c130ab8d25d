"""Copies of frames on their way to another process. Inspect and archive thread; the other process only reads.

They lie in memory without a name (a memfd), which is gone with the last process that holds it, however that ends.
"""

import mmap
import os
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from station.frame import Image

__all__ = ["Slots", "read_slot"]

_APART: Final = 2**32
"""Bytes from one slot to the next, more than any frame has; only what was written to takes memory."""


class Slots:
    """So many places for one frame each, of whatever size, for the length of a `with` block."""

    def __init__(self, count: int, spare: int = 0) -> None:
        """Beside `count` places there are `spare` ones, which only `put` with `spare` takes."""
        self.memory = os.memfd_create("shadowline-archive")
        os.ftruncate(self.memory, (count + spare) * _APART)
        self._views: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)] * (count + spare)
        self._count = count
        self._free = list(range(count))
        self._spare = list(range(count, count + spare))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.memory)

    def put(self, image: Image, spare: bool = False) -> int | None:
        """Copy `image` into a free slot and return which; None where none is free. Inspect thread."""
        free = self._spare if spare else self._free
        if not free:
            return None
        slot = free.pop()
        if self._views[slot].nbytes < image.nbytes:
            mapped = mmap.mmap(self.memory, image.nbytes, offset=slot * _APART)
            self._views[slot] = np.frombuffer(mapped, np.uint8)
        np.copyto(self._views[slot][: image.nbytes].view(image.dtype).reshape(image.shape), image)
        return slot

    def add(self, slot: int, start: int, content: bytes) -> None:
        """Write `content` into `slot` from byte `start` on, behind its image. Archive thread."""
        os.pwrite(self.memory, content, slot * _APART + start)

    def free(self, slot: int) -> None:
        """Let `slot` be used again. Archive thread."""
        (self._free if slot < self._count else self._spare).append(slot)


def read_slot(memory: int, slot: int, start: int, length: int) -> bytes:
    """Return so many bytes of `slot` from byte `start` on. The other process."""
    return os.pread(memory, length, slot * _APART + start)
