"""Frames to calibrate and prove a finder on are those that its network gets on the line."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from station.sample_frames import draw_frames, read_frames
from tests.finder_files import STRIDE, finder_card


def write(path: Path, *shape: int, level: int = 128) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, level, np.uint8))
    return path


def test_drawn_frames_are_as_many_as_asked_for_and_the_same_every_time() -> None:
    card = finder_card(input_px=(64, 96), scale=(4.0, 4.0))
    frames = draw_frames(card, 5)
    assert (frames.shape, frames.dtype) == ((5, 1, 64, 96), np.uint8)
    assert np.array_equal(frames, draw_frames(card, 5))
    assert not np.array_equal(frames[0], frames[1])


def test_a_network_of_any_size_gets_frames_of_one_size_that_its_stride_divides() -> None:
    frames = draw_frames(finder_card(scale=(4.0, 4.0)), 3)
    assert len(frames) == 3
    assert all(side % STRIDE == 0 for side in frames.shape[2:])


def test_pictures_are_reduced_and_cut_into_the_tiles_of_the_network(tmp_path: Path) -> None:
    write(tmp_path / "a" / "small.png", 128, 128, level=10)
    write(tmp_path / "b" / "large.png", 256, 384, level=200)
    frames = read_frames(tmp_path, finder_card(input_px=(64, 64), scale=(2.0, 2.0)))
    assert frames.shape == (1 + 2 * 3, 1, 64, 64)
    assert [int(frame.mean()) for frame in frames] == [10] + [200] * 6


def test_of_many_tiles_some_are_taken_from_all_over(tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / f"{number}.png", 8 * 32, 8 * 32, level=number)
    frames = read_frames(tmp_path, finder_card(input_px=(32, 32)))
    assert len(frames) == 8 * 8 * 8 // 2
    assert [int(frame.max()) for frame in frames] == sorted([*range(8)] * 32)


def test_the_first_picture_decides_where_any_size_goes(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 60, 100)
    write(tmp_path / "b.png", 32, 32)
    assert read_frames(tmp_path, finder_card()).shape == (2, 1, 64, 104)


@pytest.mark.parametrize("fault", ["no folder", "no picture", "no picture at all"])
def test_pictures_that_can_not_be_read_are_one_line(tmp_path: Path, fault: str) -> None:
    if fault != "no folder":
        (tmp_path / "pictures").mkdir()
    if fault == "no picture at all":
        (tmp_path / "pictures" / "a.png").write_bytes(b"no picture")
    words = {"no folder": "No such file", "no picture": "no picture there", "no picture at all": "unreadable"}[fault]
    with pytest.raises(StationError, match=words):
        read_frames(tmp_path / "pictures", finder_card())
