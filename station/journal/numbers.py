"""Where the numbers of messages go on after a start. The journal thread's; whoever numbers writes its mark.

The *mark*, in memory, holds the last number given: it outlives the process, however that ends. The *lease*, on disk,
holds a number that is not reached: it outlives the computer. It lies in two slots that are overwritten in turn: that
needs no free space, and a torn one leaves the other.
"""

import logging
import os
import uuid
import zlib
from pathlib import Path

import msgspec

from station.journal.mark import Mark

__all__ = ["LEASED", "Numbers"]

logger = logging.getLogger(__name__)

LEASED = 1 << 20
"""Numbers leased at a time: nearly five hours of a line with 60 frames a second."""
_SLOT_BYTES = 512


class _Lease(msgspec.Struct, frozen=True):
    journal: str
    number: int
    """None higher was given."""
    mark: str
    """The word in the mark that goes with it; empty after a clean stop, when `number` itself was the last."""
    serial: int


_decoder = msgspec.json.Decoder(_Lease)
_NO_LEASE = (msgspec.DecodeError, UnicodeDecodeError, ValueError)


class Numbers:
    """The numbers of the journal in one folder, which the caller has locked."""

    def __init__(self, folder: Path, marks: Path) -> None:
        """Read what an earlier run left in `folder` and, in memory, in `marks`. Raises `OSError`."""
        self._marks = marks
        self._begun = False
        self._file = os.open(folder / "numbers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lease = _read(self._file)
        self._mark = self._find_mark()
        self.journal = self._lease.journal if self._lease else None
        """Which journal they are of; None where nothing, or nothing whole, is there."""
        self.last = self._mark.number if self._mark else self._lease.number if self._lease else 0
        """The last number given, or one that was not exceeded."""
        self.exact = self._mark is not None or (self._lease is not None and not self._lease.mark)
        """Whether `last` was given."""

    def begin(self, journal: str, last: int) -> None:
        """Go on behind `last`. Raises `OSError` when the disk does not take the lease; the mark is good even then."""
        self.journal, self.last = journal, last
        self._mark = self._mark or Mark.make(self._marks / f"shadowline-{journal}", uuid.uuid4().hex)
        self._mark.write(last)
        self._begun = True
        self._write(last + LEASED, self._mark.word)

    def renew(self) -> None:
        """Lease more when half are used. Raises `OSError` when the disk does not take it."""
        last = self.mark.number
        if self._lease is None or self._lease.number - last < LEASED // 2:
            self._write(last + LEASED, self.mark.word)

    @property
    def mark(self) -> Mark:
        """Where each number given is to be written."""
        assert self._mark is not None, "begin first"
        return self._mark

    def close(self) -> None:
        """Keep the last number as exact, without a mark; where the disk does not take that, the mark stays."""
        if self._begun and self._mark is not None:
            try:
                self._write(self._mark.number, "")
                self._mark.remove()
            except OSError as fault:
                logger.warning("the journal's numbers could not be closed: %s", fault)
        if self._mark is not None:
            self._mark.close()
        os.close(self._file)

    def _find_mark(self) -> Mark | None:
        if self._lease is None or not self._lease.mark:
            return None
        return Mark.find(self._marks / f"shadowline-{self._lease.journal}", self._lease.mark)

    def _write(self, number: int, word: str) -> None:
        assert self.journal is not None, "begin first"
        lease = _Lease(self.journal, number, word, self._lease.serial + 1 if self._lease else 1)
        line = msgspec.json.encode(lease)
        slot = b"%08x %s" % (zlib.crc32(line), line)
        os.pwrite(self._file, slot.ljust(_SLOT_BYTES - 1) + b"\n", lease.serial % 2 * _SLOT_BYTES)
        os.fsync(self._file)
        self._lease = lease


def _read(file: int) -> _Lease | None:
    """Return the newer of the whole slots of `file`."""
    slots = os.pread(file, 2 * _SLOT_BYTES, 0)
    leases = [_parse(slots[start : start + _SLOT_BYTES]) for start in (0, _SLOT_BYTES)]
    return max((lease for lease in leases if lease), key=lambda lease: lease.serial, default=None)


def _parse(slot: bytes) -> _Lease | None:
    crc, _, line = slot.strip().partition(b" ")
    try:
        lease = _decoder.decode(line)
        return lease if int(crc, 16) == zlib.crc32(line) else None
    except _NO_LEASE:
        return None
