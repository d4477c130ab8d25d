"""Logins end by time, by hand and with the person; the database has no token."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.console.database import Database
from station.console.people import People, Person, Role
from station.console.sessions import Sessions


class Clock:
    now_s = 1e9

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as database:
        yield database


@pytest.fixture
def anna(database: Database) -> Person:
    return People(database).add("anna", Role.ENGINEER, "cold rolled strip")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(database: Database, anna: Person, clock: Clock) -> Sessions:
    return Sessions(database, longest_s=1000, idle_s=300, clock_s=clock)


def test_a_token_finds_its_person_as_they_are_now(sessions: Sessions, anna: Person, database: Database) -> None:
    token = sessions.begin(anna).token
    People(database).set_looks("anna", "zh", "dark")
    session = sessions.find(token)
    assert session is not None
    assert (session.person.name, session.person.language, session.token) == ("anna", "zh", token)
    assert sessions.find(token[:-1]) is None
    assert sessions.find("") is None


def test_an_idle_login_ends(sessions: Sessions, anna: Person, clock: Clock) -> None:
    token = sessions.begin(anna).token
    for _ in range(3):
        clock.now_s += 299
        assert sessions.find(token)
    clock.now_s += 301
    assert sessions.find(token) is None


def test_looking_whether_it_lasts_does_not_prolong_it(sessions: Sessions, anna: Person, clock: Clock) -> None:
    token = sessions.begin(anna).token
    clock.now_s += 200
    assert sessions.lasts(token)
    clock.now_s += 200
    assert not sessions.lasts(token)


def test_a_busy_login_ends_too(sessions: Sessions, anna: Person, clock: Clock) -> None:
    token = sessions.begin(anna).token
    for _ in range(10):
        clock.now_s += 100
        assert sessions.find(token)
    clock.now_s += 1
    assert sessions.find(token) is None


def test_it_ends_by_hand_and_with_the_person(sessions: Sessions, anna: Person, database: Database) -> None:
    here, there, third = (sessions.begin(anna).token for _ in range(3))
    sessions.end(here)
    assert sessions.find(here) is None
    sessions.end_all("anna", but=there)
    assert (sessions.find(third), bool(sessions.find(there))) == (None, True)
    People(database).add("ben", Role.ENGINEER, "cold rolled strip")
    People(database).remove("anna")
    assert sessions.find(there) is None


def test_the_database_has_no_token_and_forgets_what_is_over(
    sessions: Sessions, anna: Person, database: Database, clock: Clock, tmp_path: Path
) -> None:
    token = sessions.begin(anna).token
    clock.now_s += 400
    sessions.begin(anna)
    with database.read() as db:
        assert db.execute("SELECT count(*) FROM session_login").fetchone()[0] == 1
    assert not any(token.encode() in file.read_bytes() for file in tmp_path.iterdir())
