"""What of the strip map lives as long as the console: the follower of the journal, columns in memory, errands."""

import shutil
import tempfile
from collections import OrderedDict
from contextlib import ExitStack
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
from station.worker import Worker

__all__ = ["Report", "Strip"]

Report = Literal["html", "csv", "json"]

_Value = TypeVar("_Value")

_MOST_SEARCHES, _MOST_REPORTS = 16, 2
_WORK = "strip-report-"
_EARLIER, _LATER = 200, 1000
"""So many messages before and after a coil's tell how it began and that it ended."""


class Strip:
    """For the length of a `with` block; everything of it may be asked by any thread."""

    def __init__(self, console: Console) -> None:
        self._follower = Follower(console.database, console.publish, console.journal)
        self.columns = ColumnCache(console.database)
        self._console = console
        self._errands = Errands()
        self._repeats = _Recent[list[Found]](_MOST_SEARCHES)
        self._reports = _Recent[dict[Report, bytes]](_MOST_REPORTS)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self._console.database.prepare("strip", TABLES)
        for left in self._console.folder.glob(f"{_WORK}*"):  # by a console that was killed
            shutil.rmtree(left, ignore_errors=True)
        with ExitStack() as starting:
            self._reader = starting.enter_context(Worker("strip", self._follower.run, self._follower.stop))
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
        return self._follower.trouble if self._reader.alive else f"its reader has ended: {self._reader.failure}"

    def repeats(self, coil: CoilFigures) -> list[Found]:
        """Return what comes again on a coil with positions. Raises `StationError` where that can't be told now."""
        if coil.unit != "mm":
            return []
        columns = self.columns.of(coil.id)
        known = self._repeats.find(coil.id, columns.last_event)
        if known is not None:
            return known
        with self._console.database.read() as db:
            ways = read_ways(db, [coil.id]).get(coil.id, [])
        found = search(self._errands, make_tasks(columns, ways, self._console.config))
        return self._repeats.keep(coil.id, columns.last_event, found)

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
    """What was made last of coils, each as it was up to an event."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._kept: OrderedDict[tuple[int, int], _Value] = OrderedDict()

    def find(self, coil: int, event: int) -> _Value | None:
        with self._lock:
            return self._kept.get((coil, event))

    def keep(self, coil: int, event: int, value: _Value) -> _Value:
        with self._lock:
            self._kept[coil, event] = value
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value
