"""Pictures that somebody sent to review from "Try a picture": kept until the review takes them. Any thread."""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from shadowline.errors import PictureError
from station.console.database import Database

__all__ = ["Inbox"]

_MOST: Final = 500
_MOST_BYTES: Final = 512 * 2**20
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS teach_inbox (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,"
    ' added_ns INTEGER NOT NULL, "by" TEXT NOT NULL, png BLOB NOT NULL, about TEXT NOT NULL)',
)


class Inbox:
    """The table `teach_inbox`: this part writes it, the review reads it and takes away what it has taken in."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare("teach", _TABLES)

    def put(self, name: str, by: str, png: bytes, about: Mapping[str, Any]) -> int:
        """Keep a picture, and return its number. Raises `PictureError` while too much waits there."""
        with self._database.write() as db:
            count, size = db.execute("SELECT count(*), coalesce(sum(length(png)), 0) FROM teach_inbox").fetchone()
            if count >= _MOST or size + len(png) > _MOST_BYTES:
                raise PictureError("too many pictures wait for review: review some first")
            cursor = db.execute(
                'INSERT INTO teach_inbox (name, added_ns, "by", png, about) VALUES (?, ?, ?, ?, ?)',
                (name, time.time_ns(), by, png, json.dumps(about)),
            )
            return int(cursor.lastrowid or 0)
