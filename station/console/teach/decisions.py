"""What people decided, kept for good: rows are only added, of each picture the newest counts, undone ones do not.

A decision has the id that the browser gave it, so one that is sent again counts once. Called from any thread.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Final, Literal, TypeAlias

import msgspec

from shadowline.errors import StationError
from station.console.database import Database
from station.console.teach.item import Box, Source

__all__ = ["Decided", "Decisions", "Did", "Labelled"]

Did: TypeAlias = Literal["label", "not_a_defect", "skip", "done", "undo"]
"""`done`: nothing more is in this whole picture. `skip`: it can't be told."""

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS teach_decisions (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, item TEXT NOT NULL, target TEXT NOT NULL, person TEXT NOT NULL,
        decided_ns INTEGER NOT NULL, did TEXT NOT NULL, old_label TEXT NOT NULL, label TEXT NOT NULL, box TEXT,
        undoes INTEGER, source TEXT NOT NULL, shown TEXT, png BLOB
    )""",
    "CREATE INDEX IF NOT EXISTS teach_by_target ON teach_decisions (target)",
    "CREATE INDEX IF NOT EXISTS teach_by_item ON teach_decisions (item)",
    "CREATE INDEX IF NOT EXISTS teach_by_undone ON teach_decisions (undoes) WHERE undoes IS NOT NULL",
)
_COLUMNS: Final = "n, id, item, target, person, decided_ns, did, old_label, label, box, source"
_STANDING: Final = """did != 'undo' AND n NOT IN (SELECT undoes FROM teach_decisions WHERE undoes IS NOT NULL)"""
_NEWEST: Final = f"n IN (SELECT max(n) FROM teach_decisions WHERE {_STANDING} GROUP BY target)"
_DAY_NS: Final = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as it is kept. `target` is the picture, or the box that somebody drew in it."""

    n: int
    id: str
    item: str
    target: str
    person: str
    decided_ns: int
    did: Did
    old_label: str
    label: str
    box: Box | None
    source: Source


@dataclass(frozen=True, slots=True)
class Labelled:
    """A decision that names a class, with the pixels to learn from (PNG) and what they show of the frame."""

    decided: Decided
    shown_px: Box
    png: bytes


class Decisions:
    """The table of decisions. Methods raise `StationError` for what can't be done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare("teach", _TABLES)
        self._guard = threading.Lock()
        with database.read() as db:
            query = f"SELECT DISTINCT item FROM teach_decisions WHERE target = item AND {_STANDING}"
            self._finished = {str(row[0]) for row in db.execute(query)}

    def is_finished(self, item: str) -> bool:
        """Whether somebody decided on all of `item`."""
        return item in self._finished

    def find(self, number: str) -> Decided | None:
        """Return the decision that has this id, if it was made."""
        with self._database.read() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM teach_decisions WHERE id = ?", (number,)).fetchone()
        return _decided(row) if row else None

    def add(
        self, number: str, item: str, person: str, did: Did, label: str, box: Box | None, source: Source,
        cut: tuple[bytes, Box] | None = None,
    ) -> Decided:  # fmt: skip
        """Keep a decision and the pixels `cut` that it is about; one whose id is known already changes nothing."""
        target = item if box is None or source.region_px is not None else f"{item}@{'-'.join(map(str, box))}"
        png, shown = cut or (None, None)
        values = (
            number, item, target, person, time.time_ns(), did, source.label, label,
            _box_text(box), None, msgspec.json.encode(source).decode(), _box_text(shown), png,
        )  # fmt: skip
        return self._write(number, values)

    def undo(self, number: str, of: str, person: str) -> Decided:
        """Take back the decision `of`, which must be this person's; the one before it counts again."""
        undone = self.find(of)
        if undone is None or undone.did == "undo":
            raise StationError("there is no such decision to take back")
        if undone.person != person:
            raise StationError(f"{undone.person} decided that: only they can take it back")
        values = (
            number, undone.item, undone.target, person, time.time_ns(), "undo", undone.old_label, "",
            None, undone.n, msgspec.json.encode(undone.source).decode(), None, None,
        )  # fmt: skip
        return self._write(number, values)

    def labelled(self) -> Iterator[Labelled]:
        """Yield the newest standing decision on each target that names a class, in the order of their events."""
        query = f"""SELECT {_COLUMNS}, shown, png FROM teach_decisions
                    WHERE did IN ('label', 'not_a_defect') AND {_NEWEST} ORDER BY n"""
        with self._database.read() as db:
            for row in db.execute(query):
                yield Labelled(_decided(row), _box(row["shown"]) or (0, 0, 0, 0), row["png"])

    def counts(self) -> Counter[str]:
        """Return how many pictures count for each class."""
        query = f"""SELECT label, count(*) FROM teach_decisions
                    WHERE did IN ('label', 'not_a_defect') AND {_NEWEST} GROUP BY label"""
        with self._database.read() as db:
            return Counter({str(label): int(count) for label, count in db.execute(query)})

    def last(self, limit: int, person: str | None = None) -> list[Decided]:
        """Return the last decisions, newest first; of one person only those that stand."""
        where, values = (f"WHERE person = ? AND {_STANDING}", [person]) if person else ("", [])
        with self._database.read() as db:
            query = f"SELECT {_COLUMNS} FROM teach_decisions {where} ORDER BY n DESC LIMIT ?"
            return [_decided(row) for row in db.execute(query, [*values, limit])]

    def of_item(self, item: str) -> list[Decided]:
        """Return everything that was ever decided on `item`, the oldest first."""
        with self._database.read() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM teach_decisions WHERE item = ? ORDER BY n", (item,))
            return [_decided(row) for row in rows]

    def made_today(self, person: str) -> int:
        """Return how many standing decisions a person made within the last 24 hours."""
        query = f"SELECT count(*) FROM teach_decisions WHERE person = ? AND decided_ns > ? AND {_STANDING}"
        with self._database.read() as db:
            return int(db.execute(query, (person, time.time_ns() - _DAY_NS)).fetchone()[0])

    def _write(self, number: str, values: tuple[object, ...]) -> Decided:
        columns = "id, item, target, person, decided_ns, did, old_label, label, box, undoes, source, shown, png"
        places = ", ".join("?" * len(values))
        with self._guard, self._database.write() as db:
            query = f"INSERT INTO teach_decisions ({columns}) VALUES ({places}) ON CONFLICT (id) DO NOTHING"
            db.execute(query, values)
            kept = _decided(db.execute(f"SELECT {_COLUMNS} FROM teach_decisions WHERE id = ?", (number,)).fetchone())
            finished = _is_finished(db, kept.item)
        (self._finished.add if finished else self._finished.discard)(kept.item)
        return kept


def _is_finished(db: Connection, item: str) -> bool:
    query = f"SELECT 1 FROM teach_decisions WHERE item = ? AND target = item AND {_STANDING} LIMIT 1"
    return db.execute(query, (item,)).fetchone() is not None


def _decided(row: Row) -> Decided:
    return Decided(
        row["n"], row["id"], row["item"], row["target"], row["person"], row["decided_ns"], row["did"],
        row["old_label"], row["label"], _box(row["box"]), msgspec.json.decode(row["source"], type=Source),
    )  # fmt: skip


def _box(text: str | None) -> Box | None:
    if text is None:
        return None
    x, y, w, h = json.loads(text)
    return x, y, w, h


def _box_text(box: Box | None) -> str | None:
    return None if box is None else json.dumps(box)
