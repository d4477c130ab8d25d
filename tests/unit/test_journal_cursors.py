from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shadowline.errors import JournalError
from station.journal.cursors import Consumer, Cursors, consumers
from station.journal.database import open_reader


@pytest.fixture
def cursors(tmp_path: Path) -> Iterator[Cursors]:
    with closing(Cursors(tmp_path / "cursors.db", "j")) as cursors:
        yield cursors


def test_a_cursor_outlives_its_keeper(tmp_path: Path) -> None:
    with closing(Cursors(tmp_path / "cursors.db", "j")) as cursors:
        assert cursors.where("plc") is None
        assert cursors.acknowledge("plc", 5, 100) == 5
    with closing(Cursors(tmp_path / "cursors.db", "j")) as cursors:
        assert cursors.where("plc") == 5
    with closing(open_reader(tmp_path / "cursors.db")) as reader:
        assert consumers(reader, "j") == [Consumer("plc", 5, 100)]


def test_a_cursor_never_goes_back(cursors: Cursors) -> None:
    cursors.acknowledge("plc", 5, 1)
    assert cursors.acknowledge("plc", 3, 2) == 5
    cursors.forget("plc")
    assert cursors.acknowledge("plc", 3, 3) == 3


def test_another_journal_counts_anew(cursors: Cursors, tmp_path: Path) -> None:
    cursors.acknowledge("plc", 5, 1)
    with closing(Cursors(tmp_path / "cursors.db", "another")) as others:
        assert others.where("plc") is None
        assert others.acknowledge("plc", 2, 1) == 2


def test_the_number_of_consumers_is_bounded(cursors: Cursors) -> None:
    for count in range(256):
        cursors.acknowledge(f"c{count}", 1, 1)
    with pytest.raises(JournalError, match=r"256 consumers are kept: `station journal forget` one"):
        cursors.acknowledge("one more", 1, 1)
    assert cursors.acknowledge("c7", 2, 1) == 2
    cursors.forget("c7")
    assert cursors.acknowledge("one more", 1, 1) == 1
