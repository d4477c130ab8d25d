"""A configuration applied: written whole, taken or refused by the station, noted, and put back."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shadowline.errors import ConfigError, StationError
from station.console.database import Database
from station.console.settings.applying import ConfigFile, Outdated, sha_of
from station.console.settings.versions import Versions
from station.control_protocol import Reloaded

OLD = (
    '[station]\nbudget_ms = 20.0 # the gate\n[[camera]]\nname = "top"\ntype = "simulated"\n[engine]\nbackend = "fake"\n'
)
NEW = OLD.replace("20.0", "15.0")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as database:
        yield database


def config_file(tmp_path: Path, database: Database, reload: Callable[[], Reloaded]) -> ConfigFile:
    path = tmp_path / "config.toml"
    path.write_text(OLD)
    path.chmod(0o640)
    return ConfigFile(path, Versions(database), reload)


def answer(outcome: str, words: str = "") -> Callable[[], Reloaded]:
    return lambda: Reloaded(outcome, "abc", words)  # type: ignore[arg-type]


def nobody() -> Reloaded:
    raise StationError("no station answers")


@pytest.mark.parametrize(
    ("reload", "outcome", "text"),
    [
        (answer("taken", "[station] budget_ms"), "taken", NEW),
        (answer("restart", "a change of that needs a restart"), "restart", NEW),
        (answer("refused", "dent: not a label"), "refused", OLD),
        (nobody, "silent", NEW),
    ],
)
def test_what_the_station_says_decides_what_stays(
    tmp_path: Path, database: Database, reload: Callable[[], Reloaded], outcome: str, text: str
) -> None:
    file = config_file(tmp_path, database, reload)
    applied = file.apply(NEW, sha_of(OLD), "anna")
    assert applied.outcome == outcome
    assert file.read() == text
    assert file.path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path).count(".config.toml.new") == 0
    told = [(one.who, one.outcome, one.text) for one in file.versions.newest()]
    assert told == [("anna", outcome, NEW), ("", "found", OLD)]


def test_an_older_version_is_put_back(tmp_path: Path, database: Database) -> None:
    file = config_file(tmp_path, database, answer("taken"))
    file.apply(NEW, sha_of(OLD), "anna")
    first = file.versions.newest()[-1]
    found = file.versions.of(first.id)
    assert found is not None
    file.apply(found.text, sha_of(NEW), "ben")
    assert file.read() == OLD
    assert [one.who for one in file.versions.newest()] == ["ben", "anna", ""]


def test_of_two_at_once_the_second_is_told(tmp_path: Path, database: Database) -> None:
    file = config_file(tmp_path, database, answer("taken"))
    file.apply(NEW, sha_of(OLD), "anna")
    with pytest.raises(Outdated, match="changed meanwhile"):
        file.apply(OLD.replace("20.0", "10.0"), sha_of(OLD), "ben")
    assert file.read() == NEW


def test_a_text_that_is_no_configuration_is_not_written(tmp_path: Path, database: Database) -> None:
    file = config_file(tmp_path, database, answer("taken"))
    for text in (OLD.replace("20.0", "-1"), "[[[", "", "#" * (2**20 + 1)):
        with pytest.raises(ConfigError):
            file.apply(text, sha_of(OLD), "anna")
    assert file.read() == OLD
    assert file.versions.newest() == []


def test_a_link_stays_a_link(tmp_path: Path, database: Database) -> None:
    file = config_file(tmp_path, database, answer("taken"))
    link = tmp_path / "link.toml"
    link.symlink_to(file.path)
    ConfigFile(link, file.versions, answer("taken")).apply(NEW, sha_of(OLD), "anna")
    assert link.is_symlink()
    assert file.read() == NEW


def test_it_says_beforehand_what_needs_a_restart(tmp_path: Path, database: Database) -> None:
    file = config_file(tmp_path, database, nobody)
    assert file.needs_restart(NEW) == ""
    assert "[publish] heartbeat_s" in file.needs_restart(OLD + "[publish]\nheartbeat_s = 2.0\n")
    assert "[console] port: holds when that process" in file.needs_restart(OLD + "[console]\nport = 9600\n")
    with pytest.raises(ConfigError, match="greater than 0"):
        file.needs_restart(OLD.replace("20.0", "-1"))


def test_where_it_cannot_be_written_it_says_what_to_do(tmp_path: Path, database: Database) -> None:
    file = config_file(tmp_path, database, answer("taken"))
    (tmp_path / ".config.toml.new").mkdir()
    with pytest.raises(ConfigError, match="let the console's user write there"):
        file.apply(NEW, sha_of(OLD), "anna")
    assert file.read() == OLD
