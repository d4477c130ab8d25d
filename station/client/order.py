"""Messages heard live and read from the journal, made into one stream: in order, each once, no loss untold. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from station.client.items import Gap, Item, Renumbered
from station.event import Heartbeat, Numbered
from station.journal.protocol import Page

__all__ = ["Order"]

_GONE: Final = "no longer in the journal"
_NEVER: Final = "never reached the journal"
_UNHEARD: Final = "not heard, and there is no journal to read it from"
_ANOTHER: Final = "the station keeps another journal"
_NONE: Final = "the station keeps no journal, and counts anew at each start"
_BACK: Final = "the station's numbers went back"

_RUNS = 16


class Order:
    """What is to be given out stands in `ready`, in its order; whoever takes it from there has it.

    A live message that follows on the last one is ready at once, on disk or not. Behind a gap it waits, within
    `max_bytes`; what has no room is read from the journal later. After a restart of the station, or where the begin was
    named, live messages wait until a heartbeat has told which journal they are counted in.
    """

    def __init__(self, replays: bool, max_bytes: int) -> None:
        """Begin with the first live message. `replays` says whether a journal can be asked."""
        self.ready: deque[Item] = deque()
        self.position: int | None = None
        """All up to this number is ready or told as lost; None before the first live message."""
        self.journal = ""
        """Its id, as far as is known."""
        self.past_journals: deque[str] = deque()
        """One for each `Renumbered` in `ready`: the journal that numbers before it are counted in."""
        self.newest = 0
        """The newest number that the journal is known to have."""
        self._can_replay = self._replays = replays
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._waiting: deque[tuple[Numbered, int]] = deque()
        """Heard, behind a gap: message and bytes."""
        self._unsure: deque[tuple[Numbered, int]] = deque()
        """Heard, and perhaps counted in another journal."""
        self._sure = self._looked = True
        self._run = ""
        self._past_run = ""
        """The run whose journal is gone."""
        self._runs_read: deque[str] = deque(maxlen=_RUNS)
        self._promised = 0

    def begin(self, start: int, journal: str) -> None:
        """Begin at number `start` of `journal` (empty: whichever it is) in place of the first live message."""
        self.position, self.journal = start - 1, journal
        self._doubt()

    def hear(self, message: Numbered, size_bytes: int) -> None:
        """Take a live message, whose JSON was so long."""
        if message.origin.run == self._past_run:
            return
        self._follow_run(message.origin.run, message.event)
        if self.position is None:
            self.position = message.event - 1
        if not self._replays:
            self._give(message, _UNHEARD)
        elif not self._sure:
            self._hold(self._unsure, message, size_bytes)
        elif message.event == self.position + 1:
            self._give(message, "")
        elif message.event > (self._waiting[-1][0].event if self._waiting else self.position):
            self._hold(self._waiting, message, size_bytes)

    def hear_heartbeat(self, beat: Heartbeat) -> None:
        """Learn which journal this run counts in, and which messages must have come before this heartbeat."""
        if beat.origin.run == self._past_run:
            return
        self._follow_run(beat.origin.run, None)
        self._replays = self._can_replay and beat.journal is not None
        self._know_journal(beat.journal.id if beat.journal else "")
        if self._replays and beat.journal is not None:
            self.newest = max(self.newest, beat.journal.last)  # on disk, so it was sent before
        elif self.position is not None:
            self._settle(max([self._promised, *(message.event for message, _ in self._waiting)]) + 1, _UNHEARD)
        self._promised = beat.last_event  # on its way at most until the next heartbeat
        self._trust(beat.origin.run)

    def wanted(self, start: int | None = None) -> tuple[int, int | None] | None:
        """Return the numbers to read from the journal next, from and to (None: the newest); None for nothing.

        With `start`, as if all before it were there.
        """
        if not self._replays or self.position is None:
            return None
        start = self.position + 1 if start is None else start
        if self._waiting and self._sure:
            end = self._waiting[0][0].event - 1
            return (start, end) if start <= end else None
        return (start, None) if start <= self.newest or self._unsure or not self._looked else None

    def read(self, page: Page, messages: Iterable[Numbered], unreadable: str = "") -> None:
        """Take a page of the journal that begins at or before the wanted number: what it lacks is lost.

        `unreadable` is said of what it lacks, where some of it could not be read.
        """
        if self._sure and self.journal not in ("", page.journal):
            self._past_run, self._run = self._run, ""
        if self._know_journal(page.journal) or self.position is None:
            return
        self._looked, self.newest = True, page.last
        end = min(page.next, page.last + 1)
        for message in messages:
            if message.event < end:
                self._give(message, unreadable or _why(page, message.event))
                self._note_run(message.origin.run)
        self._settle(end, unreadable or _why(page, end))
        self._follow_on()

    def _give(self, message: Numbered, reason: str) -> None:
        """Let `message` be next; what is missing before it is lost for that reason."""
        position = self.position or 0
        if message.event > position + 1:
            self._settle(message.event, reason)
        elif message.event <= position:
            return
        self.ready.append(message)
        self.position = message.event

    def _settle(self, end: int, reason: str) -> None:
        """Give out what waits of the numbers before `end`; the others are lost for that reason."""
        while self._waiting and self._waiting[0][0].event < end:
            self._give(self._take_waiting(), reason)
        position = self.position or 0
        if position + 1 < end:
            self.ready.append(Gap(position + 1, end - 1, reason))
            self.position = end - 1

    def _follow_on(self) -> None:
        """Give out what waits as far as nothing is missing before it."""
        while self._waiting and self.position is not None and self._waiting[0][0].event <= self.position + 1:
            self._give(self._take_waiting(), "")

    def _hold(self, held: deque[tuple[Numbered, int]], message: Numbered, size_bytes: int) -> None:
        if self._held_bytes + size_bytes <= self._max_bytes:
            held.append((message, size_bytes))
            self._held_bytes += size_bytes

    def _take_waiting(self) -> Numbered:
        message, size_bytes = self._waiting.popleft()
        self._held_bytes -= size_bytes
        return message

    def _doubt(self) -> None:
        """Hold live messages until a heartbeat has told which journal they are counted in."""
        self._sure = self._looked = False
        self._held_bytes -= sum(size_bytes for _, size_bytes in self._unsure)
        self._unsure.clear()

    def _trust(self, run: str) -> None:
        """Take what was heard of `run`; of other runs nobody knows how it was counted, but the journal has it."""
        if self._sure:
            return
        heard = list(self._unsure)
        self._doubt()
        self._sure = True
        for message, size_bytes in heard:
            if message.origin.run == run:
                self.hear(message, size_bytes)

    def _note_run(self, run: str) -> None:
        if not self._runs_read or run != self._runs_read[-1]:
            self._runs_read.append(run)

    def _follow_run(self, run: str, event: int | None) -> None:
        """Note which run of the station this is; another one may count anew, and `event` may tell that it does."""
        if run == self._run:
            return
        before, self._run = self._run, run
        if not before or self.position is None:
            return
        self._promised = 0
        if event is not None and event <= self.position and run not in self._runs_read:
            self._count_anew(_BACK if self._replays else _NONE)
        elif not self._replays and not self.journal:
            self._count_anew(_NONE)
        else:
            self._doubt()

    def _know_journal(self, journal: str) -> bool:
        """Note which journal there is (empty: none); return whether it is another one, and numbers begin anew."""
        if self.journal in ("", journal) or self.position is None:
            self.journal = journal
            return False
        self._count_anew(_ANOTHER if journal else _NONE)
        self.journal = journal
        return True

    def _count_anew(self, reason: str) -> None:
        """Give out what waits of the old numbers, and begin at 1."""
        self._settle(max((message.event for message, _ in self._waiting), default=0) + 1, reason)
        self.ready.append(Renumbered(reason))
        self.past_journals.append(self.journal)
        self.position = self.newest = 0
        self.journal = ""
        self._runs_read.clear()
        self._doubt()


def _why(page: Page, end: int) -> str:
    """Return why the journal lacks numbers before `end`."""
    return _GONE if end <= page.first else _NEVER
