"""The handshake of results: which one the PLC is shown, and which it has. Pure; no call waits for anything.

One result is shown at a time, named by its key; the PLC copies the key of what it took into its `ack`. Nothing hangs on
an edge or a toggle that somebody might miss: after a restart of either side both still know what was taken last.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from station.client import Gap, Renumbered
from station.event import InspectionEvent
from station.gateways.base import Entry, Expired
from station.gateways.plc.area import MASK_32
from station.gateways.plc.key import Key, numbering_of

__all__ = ["Handshake", "Shown"]

_BUFFERED: Final = 8
_UNBUFFERED: Final = 64
_ERAS: Final = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """The result in the PLC's memory, and its name."""

    key: Key
    event: InspectionEvent


@dataclass(slots=True)
class _Settled:
    """A result that the PLC will not be shown again. `how` is what it counts as, or its key until the next read.

    That read tells whether the PLC took it at the edge of its age.
    """

    number: int
    how: str | Key


class Handshake:
    """Holds results from when they were put until the PLC has them, or they were given up and counted."""

    def __init__(self, acknowledged: bool, is_old: Callable[[InspectionEvent], bool]) -> None:
        """Without `acknowledged` the PLC takes what it sees, and a newer result takes the place of an older one."""
        self._acknowledged, self._is_old = acknowledged, is_old
        self.counts = {"taken": 0, "already_taken": 0, "not_acknowledged": 0, "overruns": 0}
        self.completed = False
        """Changes with every result that is shown."""
        self._journal, self._era = "", 0
        self.begin()

    def begin(self) -> None:
        """Begin a session: what was put will be put again; counters stay, and what is known of the numbering."""
        self._queue: deque[InspectionEvent] = deque()
        self._settled: list[_Settled] = []
        """What is not told and counted yet; what is put again in the next session is so counted once."""
        self._last = 0
        self._had: Key | None = None
        """What the PLC had taken when the session began, once it has said so."""
        self._offered: Key | None = None
        self._renumbered = False
        self._buffered = True
        self.shown: Shown | None = None

    @property
    def room(self) -> int:
        """So many entries may be put; none before it is known what the PLC has."""
        if self._renumbered or not self._journal or (self._acknowledged and self._had is None):
            return 0
        return max(0, (_BUFFERED if self._acknowledged and self._buffered else _UNBUFFERED) - len(self._queue))

    @property
    def done(self) -> int:
        """All up to this number is settled."""
        unsure = [one.number for one in self._settled if isinstance(one.how, Key)]
        waiting = [self._queue[0].event] if self._queue else []
        return min([*unsure, *waiting], default=self._last + 1) - 1

    def tell(self) -> int:
        """Return `done`, which the gateway learns for certain, and count what is settled by that."""
        done = self.done
        for one in self._settled:
            if one.number <= done and not isinstance(one.how, Key):
                self.counts[one.how] += 1
        self._settled = [one for one in self._settled if one.number > done]
        return done

    def put(self, entry: Entry) -> None:
        """Take an entry; of all but results only the numbers count."""
        match entry:
            case Renumbered():
                self._renumbered = True
            case Gap() | Expired():
                self._last = entry.last
            case _:
                self._last = entry.event
                if isinstance(entry, InspectionEvent):
                    self._queue.append(entry)

    def step(self, journal: str, may_show: bool) -> None:
        """Give up what is too old, and choose what is shown; nothing where that may not be."""
        self._number(journal)
        while self._queue and self._had is not None and self._had.covers(self._key(self._queue[0])):
            self._settle("already_taken")
        if self._acknowledged:
            while self._queue and self._is_old(self._queue[0]):
                self._give_up()
        self._overrun()
        self._show(may_show)

    def hear(self, ack: Key | None, buffered: bool) -> None:
        """Settle what the PLC says it has; `ack` is None where it was half written."""
        self._buffered = buffered
        for one in self._settled:
            if isinstance(one.how, Key):
                one.how = "taken" if one.how == ack else "not_acknowledged"
        if ack is None or not self._journal:
            return
        if self._had is None:
            self._had = ack
            self._era = _era_of(ack, self._journal, self._era)
        if self._queue and self._key(self._queue[0]) == ack:
            self._settle("taken")

    def _settle(self, how: str | Key, place: int = 0) -> None:
        self._settled.append(_Settled(self._queue[place].event, how))
        del self._queue[place]

    def _give_up(self) -> None:
        """Let the front go, which is too old; what was shown the PLC may have taken just in time."""
        key = self._key(self._queue[0])
        self._settle(key if key == self._offered else "not_acknowledged")

    def _key(self, event: InspectionEvent) -> Key:
        return Key(numbering_of(self._journal, self._era), event.event & MASK_32)

    def _number(self, journal: str) -> None:
        """Take over a new numbering, once all of the old one is settled."""
        if journal and not self._journal:
            self._journal = journal
        if self._renumbered and journal and self.done == self._last:
            self._era = self._era + 1 if journal == self._journal else 0
            self._journal, self._renumbered = journal, False

    def _overrun(self) -> None:
        """Let all but the newest go where results do not wait; what was shown may have been taken, and stays."""
        if self._acknowledged and self._buffered:
            return
        kept = int(self._acknowledged and bool(self._queue) and self._key(self._queue[0]) == self._offered)
        while len(self._queue) > kept + 1:
            self._settle("overruns", kept)

    def _show(self, may_show: bool) -> None:
        if not may_show:
            self.shown = None
        elif self._acknowledged or self._queue:
            front = self._queue[0] if self._queue and self._journal else None
            self.shown = Shown(self._key(front), front) if front is not None else None
        if self.shown is not None and self.shown.key != self._offered:
            self._offered = self.shown.key
            self.completed = not self.completed
        if not self._acknowledged:
            self._queue.clear()


def _era_of(key: Key, journal: str, era: int) -> int:
    """Return the era of the journal that the PLC's key is of, which an earlier process began; else `era`."""
    return next((one for one in range(_ERAS) if numbering_of(journal, one) == key.numbering), era)
