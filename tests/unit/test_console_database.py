"""The console's database: whole writes, private files, and parts that keep to their own names."""

import sqlite3
from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from station.console.database import Database

TABLE = "CREATE TABLE IF NOT EXISTS live_note (word TEXT NOT NULL) STRICT"


def words_of(database: Database) -> list[str]:
    with database.read() as db:
        return [row["word"] for row in db.execute("SELECT word FROM live_note")]


def write_twice(database: Database) -> None:
    with database.write() as db:
        db.execute("INSERT INTO live_note VALUES ('lost')")
        db.execute("INSERT INTO live_note VALUES (NULL)")


def test_a_write_is_whole_or_not_there(tmp_path: Path) -> None:
    with Database(tmp_path / "console.db") as database:
        database.prepare("live", (TABLE,))
        with database.write() as db:
            db.execute("INSERT INTO live_note VALUES ('kept')")
        with pytest.raises(sqlite3.IntegrityError):
            write_twice(database)
        assert words_of(database) == ["kept"]


def test_a_reader_does_not_wait_for_a_writer_and_sees_one_state(tmp_path: Path) -> None:
    with Database(tmp_path / "console.db") as database:
        database.prepare("live", (TABLE,))
        with database.read() as early:
            early.execute("SELECT word FROM live_note").fetchall()
            with database.write() as db:
                db.execute("INSERT INTO live_note VALUES ('new')")
                assert words_of(database) == []
            assert early.execute("SELECT word FROM live_note").fetchall() == []
        assert words_of(database) == ["new"]


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    with Database(tmp_path / "console.db") as database:
        database.prepare("live", (TABLE,))
        with database.read() as db, pytest.raises(sqlite3.OperationalError):
            db.execute("INSERT INTO live_note VALUES ('no')")


def test_its_files_are_open_to_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "console.db"
    path.touch(0o666)
    with Database(path) as database:
        database.prepare("live", (TABLE,))
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert set(modes) == {"console.db", "console.db-wal", "console.db-shm"}
    assert set(modes.values()) == {0o600}


def test_a_part_makes_tables_of_its_own_name(tmp_path: Path) -> None:
    with Database(tmp_path / "console.db") as database, pytest.raises(ValueError, match="begin with strip_"):
        database.prepare("strip", (TABLE,))


def test_what_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "console.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match="move it away"), Database(path):
        pass
