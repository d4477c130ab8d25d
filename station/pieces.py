"""Which part and job pictures are of, by the tick of their capture. The control thread writes, capture threads read."""

from dataclasses import dataclass, replace

from shadowline.errors import StationError
from station.clock import Clock
from station.frame import Piece

__all__ = ["Pieces"]

_KEPT = 256
"""Changes that are remembered for pictures which come late."""
_MOST_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class _Since:
    tick_ns: int
    piece: Piece


class Pieces:
    """The ids in force; a picture carries those that were in force when it was taken."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changes: tuple[_Since, ...] = (_Since(0, Piece()),)

    def begin_part(self, part: str) -> None:
        """Let pictures that are taken from now on carry the id `part`. Raises `StationError` for what is none."""
        _refuse_unprintable("part", part)
        self._change(replace(self.now, part=part))

    def begin_job(self, job: str) -> None:
        """Let pictures that are taken from now on carry the id `job`, likewise."""
        _refuse_unprintable("job", job)
        self._change(replace(self.now, job=job))

    @property
    def now(self) -> Piece:
        """What is in force."""
        return self._changes[-1].piece

    def at(self, tick_ns: int) -> Piece:
        """Return what was in force at a tick, or the oldest that is remembered."""
        changes = self._changes  # the tuple is exchanged, never changed
        return next((since.piece for since in reversed(changes) if since.tick_ns <= tick_ns), changes[0].piece)

    def _change(self, piece: Piece) -> None:
        if piece != self.now:
            self._changes = (*self._changes[1 - _KEPT :], _Since(self._clock.tick_ns(), piece))


def _refuse_unprintable(what: str, given: str) -> None:
    if len(given) > _MOST_CHARACTERS or not given.isprintable():
        raise StationError(f"{given[:_MOST_CHARACTERS]!r}: a {what} id has at most 64 printable characters")
