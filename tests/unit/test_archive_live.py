import os
from pathlib import Path

import pytest

from station.archive.live import LiveFolder, LivePicture, read_live
from station.event import encode
from tests.evidence import make_event


def test_the_newest_picture_is_read_with_its_event(tmp_path: Path) -> None:
    with LiveFolder(tmp_path / "runtime" / "live") as live:
        for number in (1, 2):
            live.put("top", encode(make_event(number)), b"a picture\nof %d" % number)
        assert read_live(tmp_path / "runtime" / "live", "top") == LivePicture(make_event(2), b"a picture\nof 2")
        assert os.listdir(tmp_path / "runtime" / "live") == ["top"]
    assert os.listdir(tmp_path / "runtime") == []


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n", b"{}\n", b"[" * 100_000, encode(make_event(1))[:-1]])
def test_what_is_none_is_no_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "top").write_bytes(content)
    assert read_live(tmp_path, "top") is None
    assert read_live(tmp_path, "side") is None


def test_only_this_user_can_look_into_the_folder(tmp_path: Path) -> None:
    LiveFolder(tmp_path / "live").put("top", b"{}", b"")
    assert (tmp_path / "live").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_leads_elsewhere_is_not_written_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "live").symlink_to(tmp_path / "other")
    live = LiveFolder(tmp_path / "live")
    for _ in range(2):
        live.put("top", b"{}", b"")
    assert os.listdir(tmp_path / "other") == []
    assert caplog.text.count("another user's: name a [control] endpoint") == 1
