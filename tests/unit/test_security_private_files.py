import os
from pathlib import Path

import msgspec
import pytest

from shadowline.errors import KeysError
from station.security.private_files import check_private, make_private_folder, read_record, write_record


class Note(msgspec.Struct):
    text: str


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path / "made" / "note.json", Note("a"))
    write_record(tmp_path / "made" / "note.json", Note("b"))
    assert read_record(tmp_path / "made" / "note.json", Note) == Note("b")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["note.json"]


def test_a_record_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "made"
    write_record(folder / "note.json", Note("old"))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeysError, match=r"note.json: no space left on device$"):
        write_record(folder / "note.json", Note("new"))
    assert read_record(folder / "note.json", Note) == Note("old")
    assert [path.name for path in folder.iterdir()] == ["note.json"]


def test_a_folder_that_is_open_to_others_takes_no_record(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(KeysError, match=rf"chmod 700 {folder}$"):
        write_record(folder / "note.json", Note("a"))
    with pytest.raises(KeysError, match=rf"chmod 700 {folder}$"):
        make_private_folder(folder)
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 23456)
    write_record(folder / "note.json", Note("a"))
    found = (folder / "note.json").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 23456, 0o600)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_what_belongs_to_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "theirs"
    path.touch(mode=0o600)
    os.chown(path, 12345, 12345)
    check_private(path)  # root may
    monkeypatch.setattr(os, "getuid", lambda: 23456)
    with pytest.raises(KeysError, match=rf"{path}: belongs to another user: sudo chown 23456 {path}$"):
        check_private(path)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"nothing: no such file or directory$"):
        check_private(tmp_path / "nothing")
