import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from station.command import app
from station.journal.cursors import Cursors
from station.journal.store import Store
from tests.journals import change, queued

CONFIG = '[[camera]]\nname = "top"\ntype = "simulated"\n[journal]\nfolder = "journal"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path / "journal"


def fill(folder: Path) -> None:
    folder.mkdir()
    with closing(Store(folder / "journal.db", "abc", 10**9)) as store:
        for events in (range(1, 5), range(5, 9), range(12, 15)):
            store.append([queued(event) for event in events], lambda first: "")
    with closing(Cursors(folder / "cursors.db", "abc")) as cursors:
        cursors.acknowledge("plc", 10, 1_700_000_000_000_000_000)


def run(folder: Path, *words: str) -> Result:
    config = folder.parent / "config.toml"
    return CliRunner().invoke(app, ["journal", *words, "--config", str(config)])


def test_info_shows_reach_consumers_and_what_was_put_aside(folder: Path) -> None:
    fill(folder)
    (folder / "journal-damaged-20260101T000000.000000Z.db").touch()
    said = run(folder, "info").output
    for line in (
        "messages   1 to 14",
        "consumer   plc: 10, 4 behind, at 2023-11-14 22:13:20 UTC",
        "damaged    journal-damaged-20260101T000000.000000Z.db: look at it, then move it away",
    ):
        assert line in said.splitlines()
    found = json.loads(run(folder, "info", "--json").output)
    assert (found["journal"], found["first"], found["last"]) == ("abc", 1, 14)
    assert found["file_bytes"] >= found["used_bytes"] > 0


def test_verify_finds_holes_and_wrong_checksums(folder: Path) -> None:
    fill(folder)
    whole = run(folder, "verify", "--json")
    assert (whole.exit_code, json.loads(whole.stdout)) == (0, {"messages": 11, "holes": [[9, 11]], "damaged": []})
    change(folder / "journal.db", "UPDATE batch SET lines = ? WHERE first = 5", b"nonsense")
    found = run(folder, "verify")
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        "11 messages read, 1 batches damaged",
        "missing  9 to 11",
        "damaged  5 to 8",
    ]


def test_forget_removes_a_consumer(folder: Path) -> None:
    fill(folder)
    assert run(folder, "forget", "plc").output == "plc is forgotten\n"
    assert json.loads(run(folder, "info", "--json").output)["consumers"] == []
    assert "no consumer plc" in str(run(folder, "forget", "plc").exception)


def test_without_a_journal_it_says_what_to_do(folder: Path) -> None:
    assert "a station that runs with [journal] folder makes it" in str(run(folder, "info").exception)
    (folder.parent / "config.toml").write_text(CONFIG.partition("[journal]")[0])
    assert '[journal] keeps nothing: folder = "journal" says where' in str(run(folder, "info").exception)


def test_a_database_that_makes_no_sense_is_one_line(folder: Path) -> None:
    folder.mkdir()
    (folder / "journal.db").write_bytes(b"garbage " * 5000)
    for word in ("info", "verify"):
        assert str(run(folder, word).exception).endswith("journal.db: file is not a database")
