"""What of the strip map lives as long as the console: the follower of the journal, columns in memory, errands."""

import shutil
import tempfile
import time
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

from shadowline.errors import StationError
from station.console.strip.coils import CoilFigures, read_ways
from station.console.strip.columns import ColumnCache
from station.console.strip.errands import Errands
from station.console.strip.follower import Follower
from station.console.strip.repeats import Found, make_tasks, search
from station.console.strip.tables import TABLES
from station.console.web import Console

__all__ = ["Report", "Searched", "Strip"]

Report = Literal["html", "csv", "json"]

_Value = TypeVar("_Value")

_MOST_SEARCHES, _MOST_REPORTS = 16, 2
_SEARCH_AGAIN_S, _SEARCH_PART = 30.0, 0.05
"""A coil that runs is searched again after so long at least, and for so small a part of the time."""
_WORK = "strip-report-"
_EARLIER, _LATER = 200, 1000
"""So many messages before and after a coil's tell how it began and that it ended."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What comes again on a coil, as it was up to an event."""

    found: list[Found]
    last_event: int
    until_s: float
    """Of the monotonic clock: as long it serves, although the coil goes on."""


class Strip:
    """For the length of a `with` block; everything of it may be asked by any thread."""

    def __init__(self, console: Console) -> None:
        self._follower = Follower(console.database, console.publish, console.journal)
        self.columns = ColumnCache(console.database)
        self._console = console
        self._errands = Errands()
        self._searches = _Recent[Searched](_MOST_SEARCHES)
        self._reports = _Recent[dict[Report, bytes]](_MOST_REPORTS)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self._console.database.prepare("strip", TABLES)
        for left in self._console.folder.glob(f"{_WORK}*"):  # by a console that was killed
            shutil.rmtree(left, ignore_errors=True)
        with ExitStack() as starting:
            workers = self._console.workers
            starting.enter_context(workers.thread("strip", self._follower.run, self._follower.stop))
            starting.enter_context(self._errands)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)

    @property
    def trouble(self) -> str:
        """Why nothing new comes in, in one line; empty while it does."""
        return self._follower.trouble

    def repeats(self, coil: CoilFigures) -> Searched:
        """Return what comes again on a coil with positions; of one that runs, as it was some time ago.

        Raises `StationError` where that can't be told now.
        """
        begun_s = time.monotonic()
        if coil.unit != "mm":
            return Searched([], coil.last_event, begun_s)
        last = self._searches.newest(coil.id)
        if last is not None and begun_s < last.until_s:
            return last
        columns = self.columns.of(coil.id)
        same = self._searches.find(coil.id, columns.last_event)
        if same is not None:
            return replace(same, last_event=coil.last_event)
        with self._console.database.read() as db:
            ways = read_ways(db, [coil.id]).get(coil.id, [])
        found = search(self._errands, make_tasks(columns, ways, self._console.config))
        ended_s = time.monotonic()
        until_s = ended_s + max(_SEARCH_AGAIN_S, (ended_s - begun_s) / _SEARCH_PART)
        return self._searches.keep(coil.id, columns.last_event, Searched(found, coil.last_event, until_s))

    def report(self, coil: CoilFigures, kind: Report) -> bytes:
        """Return a file of the coil's report, as `station report` makes it. Raises `StationError` where it does not."""
        known = self._reports.find(coil.id, coil.last_event)
        if known is None:
            known = self._reports.keep(coil.id, coil.last_event, self._make_report(coil))
        return known[kind]

    def _make_report(self, coil: CoilFigures) -> dict[Report, bytes]:
        with self._console.database.read() as db:
            journal = db.execute("SELECT journal FROM strip_coils ORDER BY id DESC LIMIT 1").fetchone()
        if coil.unit != "mm" or journal is None or journal[0] != coil.journal:
            raise StationError("a coil's report needs positions, and the journal that the coil is in")
        numbers = ["--first", str(max(1, coil.first_event - _EARLIER)), "--last", str(coil.last_event + _LATER)]
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=self._console.folder) as folder:
            where = ["--to", folder, "--config", str(self._console.config_file)]
            self._errands.run(["station", "report", "--journal", *numbers, *where, "--", coil.name], good=(0, 1))
            kinds: tuple[Report, ...] = ("html", "csv", "json")
            return {kind: next(Path(folder).glob(f"*.{kind}")).read_bytes() for kind in kinds}


class _Recent(Generic[_Value]):
    """What was made last of each of some coils, and up to which event."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._kept: OrderedDict[int, tuple[int, _Value]] = OrderedDict()

    def find(self, coil: int, event: int) -> _Value | None:
        """Return what was made up to that very event."""
        with self._lock:
            kept = self._kept.get(coil)
        return kept[1] if kept is not None and kept[0] == event else None

    def newest(self, coil: int) -> _Value | None:
        """Return what was made last."""
        with self._lock:
            kept = self._kept.get(coil)
        return None if kept is None else kept[1]

    def keep(self, coil: int, event: int, value: _Value) -> _Value:
        with self._lock:
            self._kept[coil] = (event, value)
            self._kept.move_to_end(coil)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value
