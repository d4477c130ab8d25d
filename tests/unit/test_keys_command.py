import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from station.command.keys import app
from station.security.clients import known_clients
from station.security.keys import read_client_keys, read_station_pair, today

CONFIG = '[[camera]]\nname = "top"\ntype = "simulated"\n[security]\nfolder = "keys"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path / "keys"


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(folder.parent / "config.toml")])


def told(folder: Path, *words: str) -> str:
    """Run what can't be done, and return the error."""
    done = run(folder, *words)
    assert done.exit_code == 1
    return str(done.exception)


def test_from_new_to_revoked(folder: Path) -> None:
    station_key = run(folder, "new").stdout.strip()
    assert station_key == read_station_pair(folder).public
    there = folder.with_name("there")
    made = run(folder, "new", "--client", "hmi", "--station", station_key, "--keys", str(there))
    client_key = made.stdout.strip()
    assert (read_client_keys(there).own.public, read_client_keys(there).station) == (client_key, station_key)
    assert run(folder, "allow", "hmi", client_key).stdout == "hmi may use events, replay\n"
    assert known_clients(folder)[client_key].name == "hmi"
    assert run(folder, "revoke", "hmi").stdout == "hmi is let in no more\n"
    assert known_clients(folder)[client_key].revoked == today()


def test_each_command_says_what_comes_next(folder: Path) -> None:
    station = run(folder, "new")
    assert f"station keys new --client NAME --station '{station.stdout.strip()}'" in station.stderr
    there = folder.with_name("there")
    client = run(folder, "new", "--client", "hmi", "--station", station.stdout.strip(), "--keys", str(there))
    assert f"on the station's computer: station keys allow hmi '{client.stdout.strip()}'" in client.stderr


def test_private_keys_are_never_printed(folder: Path) -> None:
    said = run(folder, "new").output
    private = read_station_pair(folder).private
    run(folder, "allow", "hmi", "0" * 40)
    said += run(folder, "list").output + run(folder, "list", "--json").output
    assert private not in said


def test_the_list_shows_who_may_what_and_until_when(folder: Path) -> None:
    run(folder, "allow", "hmi", "0" * 40, "--may", "control, events", "--expires", str(today() + timedelta(days=9)))
    run(folder, "allow", "plc", "1" * 40)
    run(folder, "revoke", "plc")
    lines = run(folder, "list").stdout.splitlines()
    assert f"events, control  {today()}  {today() + timedelta(days=9)}  let in" in lines[1]
    assert f"revoked {today()}" in lines[2]
    hmi, plc = json.loads(run(folder, "list", "--json").stdout)
    assert (hmi["may"], hmi["state"], plc["state"]) == (["events", "control"], "let in", f"revoked {today()}")


def test_an_expired_client_is_listed_as_such(folder: Path) -> None:
    run(folder, "allow", "hmi", "0" * 40)
    path = folder / "clients" / "hmi.json"
    path.write_text(path.read_text().replace('"expires": null', f'"expires": "{today()}"'))
    assert json.loads(run(folder, "list", "--json").stdout)[0]["state"] == "expired"


def test_a_damaged_file_is_listed_by_name_and_ends_with_1(folder: Path) -> None:
    run(folder, "allow", "hmi", "0" * 40)
    (folder / "clients" / "hmi.json").write_text("{")
    done = run(folder, "list")
    assert done.exit_code == 1
    assert "hmi.json: damaged" in done.stderr


REFUSED = {
    "a client without the station": (("new", "--client", "a"), "--client and --station belong together"),
    "no key": (("allow", "a", "abc"), "a key has 40 characters"),
    "no name": (("allow", "../a", "0" * 40), "a client's name has"),
    "no permission": (("allow", "a", "0" * 40, "--may", "all"), "--may all: there are events, replay, control"),
    "nothing": (("allow", "a", "0" * 40, "--may", ""), "--may : there are events, replay, control"),
    "past": (("allow", "a", "0" * 40, "--expires", "2020-01-01"), "name a date to come"),
    "nobody": (("revoke", "a"), "no client a; there are: none"),
}


@pytest.mark.parametrize(("words", "what"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_done_is_told_in_one_line(folder: Path, words: tuple[str, ...], what: str) -> None:
    error = told(folder, *words)
    assert what in error
    assert "\n" not in error


def test_a_configuration_without_a_folder_is_told_so(folder: Path) -> None:
    (folder.parent / "config.toml").write_text(CONFIG.replace('folder = "keys"', ""))
    assert 'folder = "keys" says where keys are' in told(folder, "list")
