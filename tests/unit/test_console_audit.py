"""The list of who did what: newest first, in pages, printable and bounded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.console.audit import Audit
from station.console.database import Database
from station.console.people import Person, Role


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    with Database(tmp_path / "console.db") as database:
        yield Audit(database)


def test_entries_come_newest_first_in_pages(audit: Audit) -> None:
    for number in range(5):
        audit.write(Person("anna", Role.ENGINEER, "en"), "people.add", f"name{number}", "viewer")
    first = audit.page(count=3)
    assert [entry.subject for entry in first] == ["name4", "name3", "name2"]
    assert [entry.subject for entry in audit.page(first[-1].id, 3)] == ["name1", "name0"]
    assert [entry.who for entry in audit.all()] == ["anna"] * 5


def test_what_comes_from_outside_is_made_printable_and_short(audit: Audit) -> None:
    audit.write("a\x1b[31m\n" + "x" * 1000, "login.refused", "10.0.0.1")
    who = audit.page()[0].who
    assert who.startswith("a?[31m?x")
    assert len(who) == 500


def test_it_keeps_a_bounded_number(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("station.console.audit._MOST", 3)
    for number in range(5):
        audit.write("anna", "login", str(number))
    assert [entry.subject for entry in audit.all()] == ["4", "3", "2"]
