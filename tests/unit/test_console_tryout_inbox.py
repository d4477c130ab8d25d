"""Pictures sent to review wait for it, up to a bound."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadowline.errors import PictureError
from station.console.database import Database
from station.console.tryout import inbox as module
from station.console.tryout.inbox import Inbox


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as database:
        yield database


def test_what_was_sent_is_there_with_who_and_what_was_thought_of_it(database: Database) -> None:
    number = Inbox(database).put("a.png", "anna", b"picture", {"verdict": "reject"})
    with database.read() as db:
        row = db.execute("SELECT * FROM teach_inbox").fetchone()
    assert (row["id"], row["name"], row["by"], row["png"]) == (number, "a.png", "anna", b"picture")
    assert json.loads(row["about"]) == {"verdict": "reject"}
    assert row["added_ns"] > 0


@pytest.mark.parametrize("bound", ["_MOST", "_MOST_BYTES"])
def test_it_does_not_grow_without_bound(database: Database, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(module, bound, 3)
    inbox = Inbox(database)
    for _ in range(3):
        inbox.put("a.png", "anna", b"x", {})
    with pytest.raises(PictureError, match="review some first"):
        inbox.put("a.png", "anna", b"x", {})
