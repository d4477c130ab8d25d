import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from shadowline.errors import ConfigError, JournalError
from station.journal.database import damaged_files, is_damage, open_database, open_reader, put_aside, transaction

SCHEMA = "CREATE TABLE one (value INTEGER); CREATE TABLE two (value INTEGER)"
UTC_NS = 1_700_000_000_000_000_000


def opened(path: Path, application: int = 7, version: int = 1) -> closing[sqlite3.Connection]:
    return closing(open_database(path, SCHEMA, application, version))


def make(path: Path, application: int = 7, version: int = 1) -> None:
    open_database(path, SCHEMA, application, version).close()


def test_makes_what_is_missing_and_finds_it_again(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as connection, transaction(connection):
        connection.execute("INSERT INTO two VALUES (5)")
    with opened(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT value FROM two").fetchall() == [(5,)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_that_was_begun_and_not_filled_is_filled(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    with opened(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)


def test_a_transaction_is_done_wholly_or_not_at_all(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as connection:
        with suppress(ZeroDivisionError), transaction(connection):
            connection.execute("INSERT INTO one VALUES (1)")
            raise ZeroDivisionError
        assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)


def test_a_newer_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    make(tmp_path / "a.db", version=3)
    with pytest.raises(ConfigError, match=r"a\.db is of version 3, this station knows up to 1: install the newer"):
        open_database(tmp_path / "a.db", SCHEMA, 7, 1)


def test_the_file_of_another_program_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.db", application=8)
    with pytest.raises(ConfigError, match=r"another program: move it away"):
        open_database(tmp_path / "a.db", SCHEMA, 7, 1)


def test_a_reader_can_not_write_and_reads_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "a ?#%41.db"
    make(path)
    with closing(open_reader(path)) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO one VALUES (1)")


def test_garbage_is_damage_and_a_missing_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as garbage:
        open_database(tmp_path / "a.db", SCHEMA, 7, 1)
    assert is_damage(garbage.value)
    with pytest.raises(sqlite3.OperationalError) as missing:
        open_database(tmp_path / "none" / "a.db", SCHEMA, 7, 1)
    assert not is_damage(missing.value)
    assert not is_damage(OSError("no space"))


def test_what_is_damaged_is_kept_with_its_log_and_never_written_over(tmp_path: Path) -> None:
    for count in range(2):
        for name in ("a.db", "a.db-wal"):
            (tmp_path / name).write_bytes(b"%d" % count)
        put_aside(tmp_path / "a.db", UTC_NS + count * 1_000_000)
    assert [path.read_bytes() for path in damaged_files(tmp_path / "a.db")] == [b"0", b"1"]
    assert len(list(tmp_path.glob("*-wal"))) == 2
    assert not (tmp_path / "a.db").exists()


def test_a_disk_that_damages_again_and_again_is_not_filled(tmp_path: Path) -> None:
    for count in range(8):
        (tmp_path / "a.db").touch()
        put_aside(tmp_path / "a.db", UTC_NS + count * 1_000_000)
    (tmp_path / "a.db").touch()
    with pytest.raises(JournalError, match="check the disk"):
        put_aside(tmp_path / "a.db", UTC_NS)
