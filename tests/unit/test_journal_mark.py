import os
from contextlib import closing
from pathlib import Path

import pytest

from station.journal.mark import Mark, marks_folder

WORD = "0123456789abcdef0123456789abcdef"


def test_the_number_is_found_again_by_its_word_alone(tmp_path: Path) -> None:
    with closing(Mark.make(tmp_path / "mark", WORD)) as mark:
        mark.write(7)
        mark.write(2**40)
    found = Mark.find(tmp_path / "mark", WORD)
    assert found is not None
    with closing(found):
        assert found.number == 2**40
    assert Mark.find(tmp_path / "mark", WORD[::-1]) is None


@pytest.mark.parametrize("content", [b"", b"short", bytes(5000)])
def test_what_is_no_mark_is_not_believed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mark").write_bytes(content)
    assert Mark.find(tmp_path / "mark", WORD) is None


@pytest.mark.skipif(os.getuid() != 0, reason="giving a file to another user needs root")
def test_another_users_mark_is_not_believed(tmp_path: Path) -> None:
    Mark.make(tmp_path / "mark", WORD).close()
    os.chown(tmp_path / "mark", 12_345, -1)
    assert Mark.find(tmp_path / "mark", WORD) is None


def test_a_link_is_neither_followed_nor_written_through(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "mark").symlink_to(tmp_path / "theirs")
    assert Mark.find(tmp_path / "mark", WORD) is None
    Mark.make(tmp_path / "mark", WORD).close()
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_where_no_file_can_be_made_it_counts_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Mark.make(tmp_path / "none" / "mark", WORD)) as mark:
        mark.write(3)
        assert mark.number == 3
        mark.remove()
    assert "numbers will leap" in caplog.text


def test_the_service_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert marks_folder() == Path("/dev/shm")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/shadowline:/run/other")
    assert marks_folder() == Path("/run/shadowline")
