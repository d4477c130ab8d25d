"""Who may use the console, in which role, and by which password. Any thread."""

import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shadowline.errors import StationError
from station.console.database import Database

__all__ = ["LANGUAGES", "THEMES", "People", "Person", "Role", "role_of"]

LANGUAGES: Final = ("en", "de", "zh")
THEMES: Final = ("auto", "dark", "light")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}\Z")
_LEAST, _MOST = 10, 256
_TABLES = (
    "CREATE TABLE IF NOT EXISTS people_person (name TEXT PRIMARY KEY, role INTEGER NOT NULL, password TEXT NOT NULL,"
    " language TEXT NOT NULL, theme TEXT NOT NULL DEFAULT 'auto', made_ns INTEGER NOT NULL) STRICT",
)


class Role(IntEnum):
    """What somebody may do: look, act on the line, or change what it does. Each may what those before it may."""

    VIEWER = 1
    OPERATOR = 2
    ENGINEER = 3


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in."""

    name: str
    role: Role
    language: str
    theme: str = "auto"


def role_of(word: str) -> Role:
    """Return the role of that name. Raises `StationError`."""
    try:
        return Role[word.upper()]
    except KeyError:
        known = ", ".join(role.name.lower() for role in Role)
        raise StationError(f"{word!r} is no role: there are {known}") from None


class People:
    """Keeps people in the database; passwords as Argon2id hashes, one computed at a time."""

    def __init__(self, database: Database, language: str = "en") -> None:
        """Make the table. New people read `language`."""
        self._database = database
        self._language = language
        # 19 MiB and one lane, of the two that OWASP recommends: little memory beside a line, about 30 ms of one core
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._hashing = Lock()
        self._nobody = self._hasher.hash("of nobody")
        database.prepare("people", _TABLES)

    def all(self) -> list[Person]:
        """Return everybody, by name."""
        with self._database.read() as db:
            return [_person(row) for row in db.execute("SELECT * FROM people_person ORDER BY name")]

    def any(self) -> bool:
        """Whether there is anybody."""
        with self._database.read() as db:
            return db.execute("SELECT 1 FROM people_person LIMIT 1").fetchone() is not None

    def add(self, name: str, role: Role, password: str, only_first: bool = False) -> Person:
        """Let somebody in; with `only_first` only while there is nobody. Raises `StationError`."""
        name = _checked_name(name)
        hashed = self._hash(password)
        with self._database.write() as db:
            if only_first and db.execute("SELECT 1 FROM people_person").fetchone():
                raise StationError("there are people already: ask an engineer to add you")
            try:
                db.execute(
                    "INSERT INTO people_person (name, role, password, language, made_ns) VALUES (?, ?, ?, ?, ?)",
                    (name, role, hashed, self._language, time.time_ns()),
                )
            except sqlite3.IntegrityError:
                raise StationError(f"{name} is there already: choose another name") from None
        return Person(name, role, self._language)

    def remove(self, name: str) -> None:
        """Let somebody in no more. Raises `StationError` for a stranger, and for the last engineer."""
        self._change(name, lambda db: db.execute("DELETE FROM people_person WHERE name = ?", (name,)))

    def set_role(self, name: str, role: Role) -> None:
        """Give somebody another role. Raises as `remove`."""
        self._change(name, lambda db: db.execute("UPDATE people_person SET role = ? WHERE name = ?", (role, name)))

    def set_password(self, name: str, password: str) -> None:
        """Give somebody another password. Raises `StationError`."""
        hashed = self._hash(password)
        self._change(
            name, lambda db: db.execute("UPDATE people_person SET password = ? WHERE name = ?", (hashed, name))
        )

    def set_looks(self, name: str, language: str, theme: str) -> None:
        """Set language and theme. Raises `StationError` for unknown ones."""
        if language not in LANGUAGES or theme not in THEMES:
            raise StationError(f"languages are {', '.join(LANGUAGES)}; themes are {', '.join(THEMES)}")
        values = (language, theme, name)
        self._change(
            name, lambda db: db.execute("UPDATE people_person SET language = ?, theme = ? WHERE name = ?", values)
        )

    def verify(self, name: str, password: str) -> Person | None:
        """Return who has this name and password, None for nobody; takes as long for a name that is not there."""
        with self._database.read() as db:
            row = db.execute("SELECT * FROM people_person WHERE name = ?", (name.strip().lower(),)).fetchone()
        fits = self._fits(row["password"] if row else self._nobody, password)
        return _person(row) if row and fits else None

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            with self._hashing:
                return self._hasher.verify(hashed, password[:_MOST].encode(errors="replace"))
        except (VerificationError, InvalidHashError):
            return False

    def _hash(self, password: str) -> str:
        if not _LEAST <= len(password) <= _MOST:
            raise StationError(f"a password has {_LEAST} to {_MOST} characters: choose a longer sentence")
        with self._hashing:
            return self._hasher.hash(password.encode(errors="replace"))

    def _change(self, name: str, act: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> None:
        with self._database.write() as db:
            had = _has_engineer(db)
            if not act(db).rowcount:
                raise StationError(f"{name!r} is nobody here")
            if had and not _has_engineer(db):
                raise StationError(f"{name} is the last engineer: make another one first")


def _has_engineer(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM people_person WHERE role = ?", (Role.ENGINEER,)).fetchone() is not None


def _checked_name(name: str) -> str:
    name = name.strip().lower()
    if not _NAME.match(name):
        raise StationError(f"{name!r}: a name has 1 to 32 of a-z, 0-9, dot, _ and -, and begins with a letter or digit")
    return name


def _person(row: sqlite3.Row) -> Person:
    return Person(row["name"], Role(row["role"]), row["language"], row["theme"])
