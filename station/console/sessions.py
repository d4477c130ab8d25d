"""Logins that last: a random token for the browser, its hash for the database, and two limits of time. Any thread."""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from station.console.database import Database
from station.console.people import Person, Role

__all__ = ["Session", "Sessions"]

_TOUCH_S = 30.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS session_login (hash BLOB PRIMARY KEY,"
    " name TEXT NOT NULL REFERENCES people_person (name) ON DELETE CASCADE,"
    " started_s REAL NOT NULL, seen_s REAL NOT NULL) STRICT",
)
_FIND = (
    "SELECT session_login.*, role, language, theme FROM session_login JOIN people_person USING (name) WHERE hash = ?"
)


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in, and the token that the browser has for it."""

    person: Person
    token: str


class Sessions:
    """Begins, finds and ends logins. People must have their table first."""

    def __init__(
        self, database: Database, longest_s: float, idle_s: float, clock_s: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._longest_s, self._idle_s, self._clock_s = longest_s, idle_s, clock_s
        database.prepare("session", _TABLES)

    def begin(self, person: Person) -> Session:
        """Log `person` in, and forget the logins that time has ended."""
        token, now_s = secrets.token_urlsafe(32), self._clock_s()
        with self._database.write() as db:
            db.execute(
                "DELETE FROM session_login WHERE started_s < ? OR seen_s < ?",
                (now_s - self._longest_s, now_s - self._idle_s),
            )
            db.execute("INSERT INTO session_login VALUES (?, ?, ?, ?)", (_hash(token), person.name, now_s, now_s))
        return Session(person, token)

    def find(self, token: str) -> Session | None:
        """Return who is logged in by `token`, as they are now, and count this as a sign of life."""
        row, now_s = self._row(token), self._clock_s()
        if row is None:
            return None
        if abs(now_s - row["seen_s"]) > min(_TOUCH_S, self._idle_s / 2):
            with self._database.write() as db:
                db.execute("UPDATE session_login SET seen_s = ? WHERE hash = ?", (now_s, _hash(token)))
        return Session(Person(row["name"], Role(row["role"]), row["language"], row["theme"]), token)

    def lasts(self, token: str) -> bool:
        """Whether somebody is still logged in by `token`; no sign of life."""
        return self._row(token) is not None

    def _row(self, token: str) -> sqlite3.Row | None:
        """Return the login, unless time has ended it."""
        now_s = self._clock_s()
        with self._database.read() as db:
            row: sqlite3.Row | None = db.execute(_FIND, (_hash(token),)).fetchone()
        if row is None or now_s - row["started_s"] > self._longest_s or now_s - row["seen_s"] > self._idle_s:
            return None
        return row

    def end(self, token: str) -> None:
        """Log out."""
        with self._database.write() as db:
            db.execute("DELETE FROM session_login WHERE hash = ?", (_hash(token),))

    def end_all(self, name: str, but: str = "") -> None:
        """Log somebody out everywhere, but for the login by the token `but`."""
        with self._database.write() as db:
            db.execute("DELETE FROM session_login WHERE name = ? AND hash != ?", (name, _hash(but)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
