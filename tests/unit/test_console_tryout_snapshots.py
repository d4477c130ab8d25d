"""The newest picture of a camera: live, or from the archive, and what is said where there is none."""

from pathlib import Path
from typing import Any

import pytest

from shadowline.errors import PictureError
from station.archive.index import open_index
from station.archive.live import LiveFolder
from station.archive.pictures import encode_frame
from station.archive.shelf import read_entry
from station.config import Config
from station.config_file import parse
from station.console.tryout.header import read_header
from station.console.tryout.snapshots import take_snapshot
from station.control_protocol import live_folder
from station.event import encode
from tests.evidence import DAY_NS, NOON_NS, fill, make_event, make_frame


def config(folder: Path, **tables: Any) -> Config:
    cameras = [{"name": name, "type": "simulated"} for name in ("top", "bottom")]
    values = {"camera": cameras, "archive": {"folder": "archive"}, "control": {"endpoint": f"ipc://{folder}/control"}}
    return parse(values | tables, folder / "config.toml")


def index_of(archive: Path, places: list[Path]) -> None:
    with open_index(archive) as index:
        for place in places:
            entry = read_entry(archive, str(place.parent.relative_to(archive)), place.name)
            assert entry is not None
            index.add(entry)


def test_the_newest_whole_frame_comes_before_a_newer_crop(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    places = fill(archive, [make_event(1)], frame=True)
    places += fill(archive, [make_event(2, captured_ns=NOON_NS + DAY_NS), make_event(3, camera="bottom")])
    index_of(archive, places)
    whole, crop = (take_snapshot(config(tmp_path), camera, "archive") for camera in ("top", "bottom"))
    assert (whole.name[-4:], whole.camera) == (".jpg", "top")
    assert read_header(whole.content).width == 200
    assert (crop.name[-4:], crop.camera) == (".png", "")


@pytest.mark.parametrize(("size", "camera"), [((200, 120), "top"), ((100, 60), "")])
def test_a_live_picture_that_was_reduced_is_no_longer_the_cameras(
    tmp_path: Path, size: tuple[int, int], camera: str
) -> None:
    jpeg = encode_frame(make_frame(size=size).image)[1]
    with LiveFolder(live_folder(config(tmp_path))) as folder:
        folder.put("top", encode(make_event(1)), jpeg)
        taken = take_snapshot(config(tmp_path), "top", "live")
    assert (taken.content, taken.camera) == (jpeg, camera)


def test_where_there_is_none_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such camera"):
        take_snapshot(config(tmp_path), "../top", "live")
    with pytest.raises(PictureError, match="live_hz"):
        take_snapshot(config(tmp_path), "top", "live")
    with pytest.raises(PictureError, match="keeps no pictures"):
        take_snapshot(config(tmp_path, archive={}), "top", "archive")
    (tmp_path / "archive").mkdir()
    index_of(tmp_path / "archive", [])
    with pytest.raises(PictureError, match="no picture in the archive yet"):
        take_snapshot(config(tmp_path), "top", "archive")


def test_evidence_that_went_meanwhile_is_passed_over(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    places = fill(archive, [make_event(1), make_event(2, captured_ns=NOON_NS + DAY_NS)], frame=True)
    index_of(archive, places)
    (places[1] / "frame.jpg").unlink()
    assert take_snapshot(config(tmp_path), "top", "archive").content == (places[0] / "frame.jpg").read_bytes()
