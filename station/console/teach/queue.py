"""The pictures that wait for somebody's eye: the archive's newest and those sent from Try, the most useful first.

The archive is only read. Called from any thread; what was read of a piece of evidence is kept until it goes.
"""

import re
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from shadowline.errors import StationError
from station.archive.evidence import NAME
from station.archive.index import Filter, read_index
from station.archive.shelf import Entry, read_evidence
from station.config.teach import TeachConfig
from station.console.database import Database
from station.console.teach.item import Item, Reason, Source, items_of, ranked

__all__ = ["Queue"]

_LOOK_AGAIN_S: Final = 2.0
_LEASE_S: Final = 90.0
"""How long pictures that were handed to one person are not handed to another."""
_KEEP_SENT_NS: Final = 900 * 10**9
"""How long a sent picture stays after it was decided on, for who takes that back."""
_SENT: Final = re.compile(r"sent\.(\d{1,15})")
_REGION: Final = re.compile(rf"({NAME.pattern})\.(frame|\d{{1,6}})")


class Queue:
    """What waits. `otherwise` returns the regions that a new model names differently."""

    def __init__(
        self,
        archive: Path | None,
        config: TeachConfig,
        database: Database,
        is_finished: Callable[[str], bool],
        otherwise: Callable[[], frozenset[str]] = frozenset,
        tick_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive = archive
        self._config = config
        self._database = database
        self._is_finished = is_finished
        self._otherwise = otherwise
        self._tick_s = tick_s
        self._guard = threading.Lock()
        self._read: dict[str, list[Item]] = {}
        self._sent: list[Item] = []
        self._otherwise_then: frozenset[str] = frozenset()
        self._looked_s = -_LOOK_AGAIN_S
        self._leases: dict[str, tuple[str, float]] = {}
        self.why_none = ""
        """Why the archive could not be looked through; empty where it could."""

    def waiting(self, reasons: Collection[Reason] = ()) -> list[Item]:
        """Return what is not decided yet, of these reasons where some are named, in the order to ask about it."""
        with self._guard:
            self._look()
            items = [item for found in self._read.values() for item in found] + self._sent
        left = [item for item in items if not self._is_finished(item.id)]
        return ranked(item for item in left if not reasons or item.reason in reasons)

    def take(
        self, person: str, count: int, known: Collection[str] = (), reasons: Collection[Reason] = ()
    ) -> list[Item]:
        """Hand `person` up to `count` items that they do not have (`known`) and nobody else is looking at."""
        waiting = self.waiting(reasons)
        now_s = self._tick_s()
        with self._guard:
            self._leases = {item: lease for item, lease in self._leases.items() if lease[1] > now_s}
            free = [item for item in waiting if self._leases.get(item.id, (person, 0.0))[0] == person]
            taken = [item for item in free if item.id not in known][:count]
            for number in (*known, *(item.id for item in taken)):
                if self._leases.get(number, (person, 0.0))[0] == person:
                    self._leases[number] = (person, now_s + _LEASE_S)
        return taken

    def find(self, number: str) -> Item:
        """Return the item of this id, decided or not. Raises `StationError` where it is gone or there is none."""
        with self._guard:
            name = number.partition(".")[0]
            regions = (item for place, found in self._read.items() if place.endswith(name) for item in found)
            items = [*self._sent, *regions]
        found = next((item for item in items if item.id == number), None) or self._find_anew(number)
        if found is None:
            raise StationError("this picture is gone: the archive let it go, or there never was one")
        return found

    def picture(self, item: Item) -> bytes:
        """Return the PNG of an item that somebody sent. Raises `StationError` where it is gone."""
        with self._database.read() as db:
            row = db.execute("SELECT png FROM teach_inbox WHERE id = ?", (_number_of(item.id),)).fetchone()
        if row is None:
            raise StationError("this picture is gone: it was decided on")
        return bytes(row["png"])

    def place(self, item: Item) -> Path:
        """Return the folder of an item's evidence."""
        assert self._archive is not None  # else there is no such item
        return self._archive / item.place

    def _find_anew(self, number: str) -> Item | None:
        if _SENT.fullmatch(number):
            return next((item for item in self._sent_items() if item.id == number), None)
        match = _REGION.fullmatch(number)
        if match is None or self._archive is None:
            return None
        event = int(match.group(2))
        with read_index(self._archive) as index:
            entries = [entry for entry in index.find(Filter(first=event, last=event)) if entry.name == match.group(1)]
        wide = self._config.model_copy(update={"audit_share": 1.0})
        found = (item for entry in entries for item in _items(self._archive, entry, wide, frozenset()))
        return next((item for item in found if item.id == number), None)

    def _look(self) -> None:
        if self._tick_s() - self._looked_s < _LOOK_AGAIN_S:
            return
        self._sent = self._sent_items()
        if self._archive is None:
            self.why_none = "no_archive"
        else:
            try:
                with read_index(self._archive) as index:
                    entries = list(index.find(Filter(), self._config.newest))
                self._read_new(self._archive, entries)
                self.why_none = ""
            except StationError as fault:
                self.why_none = str(fault)
        self._looked_s = self._tick_s()

    def _read_new(self, archive: Path, entries: Sequence[Entry]) -> None:
        """Read the evidence that was not read before, and forget what is gone."""
        otherwise = self._otherwise()
        if otherwise != self._otherwise_then:
            self._read.clear()
        self._otherwise_then = otherwise
        known = self._read
        self._read = {
            entry.place: known[entry.place] if entry.place in known else _items(archive, entry, self._config, otherwise)
            for entry in entries
        }

    def _sent_items(self) -> list[Item]:
        query = "SELECT id, name, added_ns, substr(png, 1, 24) AS head FROM teach_inbox ORDER BY id"
        with self._database.read() as db:
            rows = db.execute(query).fetchall()
        found = [_sent(f"sent.{row['id']}", row["name"], row["added_ns"], bytes(row["head"])) for row in rows]
        self._let_go(found)
        return found

    def _let_go(self, sent: Iterable[Item]) -> None:
        """Remove sent pictures that were decided on a while ago: the decision has the pixels."""
        until_ns = time.time_ns() - _KEEP_SENT_NS
        done = [(_number_of(item.id), item.id) for item in sent if self._is_finished(item.id)]
        if not done:
            return
        with self._database.write() as db:
            newer = "SELECT 1 FROM teach_decisions WHERE item = ? AND decided_ns > ?"
            for number, item in done:
                db.execute(f"DELETE FROM teach_inbox WHERE id = ? AND NOT EXISTS ({newer})", (number, item, until_ns))


def _items(archive: Path, entry: Entry, config: TeachConfig, otherwise: frozenset[str]) -> list[Item]:
    """Return the items of one piece of evidence; none of one that is damaged or gone."""
    try:
        return items_of(read_evidence(archive / entry.place), entry.place, config, otherwise)
    except StationError:
        return []


def _sent(number: str, name: str, added_ns: int, head: bytes) -> Item:
    size = struct.unpack(">II", head[16:24]) if len(head) == 24 else (0, 0)
    return Item(number, "sent", Source(name=name or number, captured_ns=added_ns, size_px=(size[0], size[1])))


def _number_of(item: str) -> int:
    match = _SENT.fullmatch(item)
    return int(match.group(1)) if match else -1
