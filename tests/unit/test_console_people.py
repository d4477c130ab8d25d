"""Who may use the console: names, passwords, roles, and that there is always an engineer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shadowline.errors import StationError
from station.console.database import Database
from station.console.people import People, Role, role_of

SENTENCE = "cold rolled strip"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as database:
        yield database


@pytest.fixture
def people(database: Database) -> People:
    people = People(database, "de")
    people.add("Anna", Role.ENGINEER, SENTENCE)
    return people


def test_somebody_is_known_by_name_and_password(people: People) -> None:
    person = people.verify(" ANNA ", SENTENCE)
    assert person is not None
    assert (person.name, person.role, person.language, person.theme) == ("anna", Role.ENGINEER, "de", "auto")
    assert people.verify("anna", SENTENCE + ".") is None
    assert people.verify("nobody", SENTENCE) is None
    assert people.verify("anna", "\ud800") is None


def test_no_password_is_kept(people: People, database: Database) -> None:
    with database.read() as db:
        kept = db.execute("SELECT password FROM people_person").fetchone()["password"]
    assert kept.startswith("$argon2id$")
    assert SENTENCE not in kept


@pytest.mark.parametrize("name", ["", "a" * 33, "../anna", "an na", "-anna", "änna", "a\x00b", "<b>"])
def test_a_name_is_plain(people: People, name: str) -> None:
    with pytest.raises(StationError, match="a name has 1 to 32"):
        people.add(name, Role.VIEWER, SENTENCE)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_is_long_enough(people: People, password: str) -> None:
    with pytest.raises(StationError, match="10 to 256 characters"):
        people.add("ben", Role.VIEWER, password)
    with pytest.raises(StationError, match="10 to 256 characters"):
        people.set_password("anna", password)


def test_a_name_is_taken_once(people: People) -> None:
    with pytest.raises(StationError, match="anna is there already"):
        people.add("anna", Role.VIEWER, SENTENCE)


def test_the_first_is_made_once(people: People) -> None:
    with pytest.raises(StationError, match="there are people already"):
        people.add("ben", Role.ENGINEER, SENTENCE, only_first=True)


def test_the_last_engineer_stays_one(people: People) -> None:
    for act in (lambda: people.remove("anna"), lambda: people.set_role("anna", Role.OPERATOR)):
        with pytest.raises(StationError, match="the last engineer"):
            act()
    people.add("ben", Role.ENGINEER, SENTENCE)
    people.remove("anna")
    assert [one.name for one in people.all()] == ["ben"]


def test_roles_and_looks_change(people: People) -> None:
    people.add("ben", Role.VIEWER, SENTENCE)
    people.set_role("ben", Role.OPERATOR)
    people.set_looks("ben", "zh", "light")
    ben = people.all()[1]
    assert (ben.role, ben.language, ben.theme) == (Role.OPERATOR, "zh", "light")
    with pytest.raises(StationError, match="languages are"):
        people.set_looks("ben", "fr", "light")


def test_a_stranger_is_told(people: People) -> None:
    for act in (lambda: people.remove("x"), lambda: people.set_password("x", SENTENCE)):
        with pytest.raises(StationError, match="'x' is nobody here"):
            act()
    with pytest.raises(StationError, match="'boss' is no role"):
        role_of("boss")
    assert role_of("operator") is Role.OPERATOR
