"""Who did what, and when: a list that is only added to, up to a number of entries. Any thread."""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

from station.console.database import Database
from station.console.people import Person

__all__ = ["Audit", "Entry"]

_MOST = 200_000
_PAGE = 1000
_LONGEST = 500
_TABLES = (
    "CREATE TABLE IF NOT EXISTS audit_entry (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL,"
    " who TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL) STRICT",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that somebody did."""

    id: int
    at_ns: int
    who: str
    action: str
    subject: str
    detail: str


class Audit:
    """Adds entries and gives them out, the newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare("audit", _TABLES)

    def write(self, person: Person | str, action: str, subject: str, detail: str = "") -> None:
        """Note that `person` did `action` (as `people.add`) to `subject`. The oldest entries give way at last."""
        who = person if isinstance(person, str) else person.name
        words = [_printable(word) for word in (who, action, subject, detail)]
        with self._database.write() as db:
            insert = "INSERT INTO audit_entry (at_ns, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)"
            newest = db.execute(insert, (time.time_ns(), *words)).lastrowid or 0
            db.execute("DELETE FROM audit_entry WHERE id <= ?", (newest - _MOST,))

    def page(self, before: int | None = None, count: int = 100) -> list[Entry]:
        """Return the newest `count` entries, of those with an id below `before`."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT * FROM audit_entry WHERE id < ? ORDER BY id DESC LIMIT ?",
                (before if before is not None else 2**63 - 1, count),
            )
            return [_entry(row) for row in rows]

    def all(self) -> Iterator[Entry]:
        """Yield every entry, the newest first."""
        page = self.page(count=_PAGE)
        while page:
            yield from page
            page = self.page(page[-1].id, _PAGE)


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(row["id"], row["at_ns"], row["who"], row["action"], row["subject"], row["detail"])


def _printable(word: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in word)[:_LONGEST]
