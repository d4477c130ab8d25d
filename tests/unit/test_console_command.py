"""`station console user`: people are added, listed, changed and removed at the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shadowline.errors import ConfigError, MissingExtra, StationError
from station.command.console import _missing_told, app
from station.config_file import load
from station.console.people import Role
from station.console.records import open_records

SENTENCE = "cold rolled strip\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('[[camera]]\nname = "top"\ntype = "simulated"\n[console]\nfolder = "console"\n')
    return path


def run(config: Path, *words: str, typed: str = "") -> str:
    """Return what the command prints. Raises what it ends with."""
    result = CliRunner().invoke(app, ["user", *words, "--config", str(config)], input=typed, catch_exceptions=False)
    return result.output


def test_people_are_kept(config: Path) -> None:
    assert run(config, "list") == "nobody\n"
    assert run(config, "add", "Anna", "--role", "engineer", typed=SENTENCE) == "anna may log in as engineer\n"
    run(config, "add", "ben", typed=SENTENCE)
    assert run(config, "list") == "anna: engineer\nben: viewer\n"
    assert json.loads(run(config, "list", "--json"))[1] == {"name": "ben", "role": "viewer"}
    run(config, "remove", "ben")
    with pytest.raises(StationError, match="the last engineer"):
        run(config, "remove", "anna")


def test_a_new_password_ends_logins_and_all_is_written_down(config: Path) -> None:
    run(config, "add", "anna", "--role", "engineer", typed=SENTENCE)
    with open_records(load(config).console) as records:
        person = records.people.all()[0]
        token = records.sessions.begin(person).token
        run(config, "password", "anna", typed="hot rolled strip\n")
        assert not records.sessions.lasts(token)
        assert records.people.verify("anna", "hot rolled strip")
        assert [entry.action for entry in records.audit.page()] == ["people.password", "people.add"]
        assert person.role is Role.ENGINEER


def test_a_password_that_is_too_short_is_refused(config: Path) -> None:
    with pytest.raises(StationError, match="10 to 256 characters"):
        run(config, "add", "anna", typed="short\n")


def test_files_are_open_to_their_owner_alone(config: Path) -> None:
    run(config, "add", "anna", typed=SENTENCE)
    folder = config.parent / "console"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    folder.chmod(0o755)
    with pytest.raises(StationError, match="others can get at it: chmod 700"):
        run(config, "list")


def test_a_folder_is_needed(config: Path) -> None:
    config.write_text('[[camera]]\nname = "top"\ntype = "simulated"\n')
    with pytest.raises(ConfigError, match=r"\[console\] folder is missing"):
        run(config, "list")


def test_a_missing_package_is_named_with_its_extra() -> None:
    with (
        pytest.raises(MissingExtra, match=r"fastapi is not installed: pip install 'shadowline\[console\]'"),
        _missing_told(),
    ):
        raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
    with pytest.raises(ModuleNotFoundError), _missing_told():
        raise ModuleNotFoundError("No module named 'station.x'", name="station.x")
