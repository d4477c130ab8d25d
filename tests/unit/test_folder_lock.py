from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from station.folder_lock import lock_folder


def test_makes_the_folder_and_lets_it_go_again(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_folder(tmp_path / "journal", "[journal] folder"):
            assert (tmp_path / "journal").is_dir()


def test_a_second_station_is_kept_out(tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path, "[journal] folder"),
        pytest.raises(ConfigError, match=r"\[journal\] folder .*another station"),
        lock_folder(tmp_path, "[journal] folder"),
    ):
        pytest.fail("two have it")


def test_a_folder_is_not_made_where_its_parent_is_missing(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"disk is missing: make it, or mount"),
        lock_folder(tmp_path / "disk" / "journal", "[journal] folder"),
    ):
        pytest.fail("made all the same")


def test_what_can_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"let this user write there"),
        lock_folder(tmp_path / "file", "[archive] folder"),
    ):
        pytest.fail("a file is no folder")
