"""All that an archive holds: entered into the index, brought into line with the files, let go by size and age.

Archive process. The files are what counts: an index that is lost or damaged is made anew from them, and nothing is let
go before it is known to be whole.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from station.archive.age import AgeClock
from station.archive.guard import DiskGuard
from station.archive.index import Index, is_damage, open_index
from station.archive.reconcile import Reconciled, reconcile
from station.archive.shelf import Entry, sweep, take_away
from station.clock import Clock

__all__ = ["Holdings"]

logger = logging.getLogger(__name__)

_NOTE_NS = 60 * 10**9


class Holdings:
    """An archive's folder, which its station owns, for the length of a `with` block."""

    def __init__(self, folder: Path, max_bytes: int, max_age_ns: int, guard: DiskGuard, clock: Clock) -> None:
        self.sizes: dict[str, int] = {}
        """Bytes of disk by what they count as; of all there is once the index is whole."""
        self.folder = folder
        self._max_bytes = max_bytes
        self._max_age_ns = max_age_ns
        self._guard = guard
        self._clock = clock
        self._age = AgeClock(clock, 0)
        self._note_ns = 0
        self._opened = ExitStack()
        self._index: Index | None = None
        self._damaged = False
        self._search: Iterator[Reconciled] | None = None
        self._found = Reconciled()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def now_ns(self) -> int:
        """Return the time on the archive's own clock."""
        return self._age.now_ns()

    def scarcest(self, labels: Iterable[str]) -> str:
        """Return which of `labels` takes least."""
        return min(labels, key=lambda label: self.sizes.get(label, 0))

    def enter(self, entry: Entry) -> None:
        """Enter what was put away; without an index that can be written it is found later."""
        if self._index is None:
            return
        try:
            self._index.add(entry)
            self._weigh(entry.counts_as, entry.size)
        except sqlite3.Error as error:
            self._give_up(error)

    def tend(self) -> bool:
        """Do one small piece of what is to be done: look through files, or let one piece go; whether there is more."""
        try:
            if self._index is None:
                self._open()
            elif self._search is not None:
                self._search_on(self._index)
            else:
                return self._let_go(self._index)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
            return False
        return True

    def _open(self) -> None:
        sweep(self.folder)
        self._index = self._opened.enter_context(open_index(self.folder, anew=self._damaged))
        self._damaged = False
        self._age = AgeClock(self._clock, self._index.clock_ns())
        self._search = reconcile(self.folder, self._index)
        self._found = Reconciled()

    def _give_up(self, error: OSError | sqlite3.Error) -> None:
        """Close the index; the next `tend` opens it again, or begins one anew, and looks through the files."""
        logger.warning("archive index in %s: %s; it will be brought into line with the files", self.folder, error)
        self._damaged = isinstance(error, sqlite3.Error) and is_damage(error)
        if not self._damaged:
            self._guard.fail(error)
        self._index = self._search = None
        self._opened.close()

    def _search_on(self, index: Index) -> None:
        found = next(self._search, None) if self._search is not None else None
        if found is not None:
            self._found = found
            return
        self._search = None
        self.sizes = index.sizes()
        found = self._found
        if not index.clock_ns():
            self._age = AgeClock(self._clock, min(found.newest_ns, self._clock.utc_ns()))
        if found.entered or found.struck:
            logger.info(
                "archive index: %d pieces entered from the files, %d of them damaged; %d struck out",
                found.entered,
                found.damaged,
                found.struck,
            )

    def _let_go(self, index: Index) -> bool:
        """Remove the oldest of what takes most when all is too much, or what is too old; whether something was."""
        now_ns = self._age.now_ns()
        if now_ns >= self._note_ns:
            self._note_ns = now_ns + _NOTE_NS
            index.note_clock(now_ns)
        if sum(self.sizes.values()) > self._max_bytes:
            entry = index.oldest(max(self.sizes, key=self.sizes.__getitem__))
        else:
            entry = index.oldest()
            if entry is not None and now_ns - entry.kept_ns <= self._max_age_ns:
                return False
        if entry is not None:
            self._remove(index, entry)
        return entry is not None

    def _remove(self, index: Index, entry: Entry) -> None:
        try:
            take_away(self.folder, entry.place)
        except OSError as error:
            logger.warning("archive: %s can't be removed and is left: %s", entry.place, error.strerror)
        index.remove(entry.minute, entry.name)
        self._weigh(entry.counts_as, -entry.size)

    def _weigh(self, counts_as: str, size: int) -> None:
        self.sizes[counts_as] = self.sizes.get(counts_as, 0) + size
