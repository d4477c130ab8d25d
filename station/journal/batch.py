"""What the journal keeps in one row: messages with numbers one after the other, as lines, and their checksum. Pure."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["ROW_BYTES", "Batch", "Queued", "cut", "merge"]

ROW_BYTES = 128 * 1024
"""A row of about this size is full: so few rows that reading them costs no Python work per message."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message on its way to the disk."""

    event: int
    published_ns: int
    payload: bytes
    """Its JSON, which has no line break."""
    settles: int | None = None
    """First number of the loss that it announces."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages `first` to `last`, none missing, a line each."""

    first: int
    last: int
    published_ns: int
    """UTC of the newest, by its own stamp."""
    lines: bytes

    @property
    def crc(self) -> int:
        """CRC-32 of the numbers and the lines."""
        return zlib.crc32(self.lines, zlib.crc32(b"%d %d" % (self.first, self.last)))

    def part(self, start: int, end: int) -> bytes:
        """Return the lines of messages `start` to `end`, as far as they are here."""
        if start <= self.first and self.last <= end:
            return self.lines
        lines = self.lines.split(b"\n")
        return b"\n".join(lines[max(0, start - self.first) : max(0, end + 1 - self.first)])


def cut(messages: Sequence[Queued]) -> Iterator[Batch]:
    """Yield `messages`, in order of their numbers, as batches that end where a number is missing or when full."""
    run: list[Queued] = []
    size = 0
    for message in messages:
        if run and (message.event != run[-1].event + 1 or size >= ROW_BYTES):
            yield _batch(run)
            run, size = [], 0
        run.append(message)
        size += len(message.payload)
    if run:
        yield _batch(run)


def _batch(run: list[Queued]) -> Batch:
    return Batch(run[0].event, run[-1].event, run[-1].published_ns, b"\n".join([one.payload for one in run]))


def merge(batches: Sequence[Batch]) -> Batch:
    """Return `batches`, between which no number is missing, as one."""
    lines = b"\n".join([batch.lines for batch in batches])
    return Batch(batches[0].first, batches[-1].last, batches[-1].published_ns, lines)
