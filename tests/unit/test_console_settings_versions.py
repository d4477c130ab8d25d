"""The history of the configuration: the newest first, and not without bound."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.console.database import Database
from station.console.settings import versions as module
from station.console.settings.versions import Versions


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as database:
        yield database


def test_the_newest_comes_first_and_each_is_found_by_its_number(database: Database) -> None:
    versions = Versions(database)
    for text in ("a", "b", "c"):
        versions.add("anna", "taken", f"[station] {text}", text)
    assert [one.text for one in versions.newest(2)] == ["c", "b"]
    first = versions.newest()[-1]
    assert versions.of(first.id) == first
    assert versions.of(99) is None


def test_the_oldest_give_way_at_last(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    versions = Versions(database)
    for text in "abc":
        versions.add("anna", "taken", "", text)
    assert [one.text for one in versions.newest()] == ["c", "b"]
