"""Crops for proofs: read from folders of pictures with their true labels, or drawn, the same every time."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import CropCut
from shadowline.errors import StationError
from station.crops import cut_crops, whole_image
from station.sample_crops import DEFAULT_CUT, draw_crops, read_crops

ROOT = Path(__file__).parents[2]
CUT = CropCut(size_px=32, context=1.5, min_side_px=32)
LABELS = ("patches", "scratches")


def draw(path: Path, level: int = 100) -> np.ndarray:
    picture = np.random.default_rng(level).integers(0, level, (50, 70), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)
    return picture


def test_folders_named_like_labels_are_the_truth(tmp_path: Path) -> None:
    for name in ("scratches/2.png", "scratches/10.png", "deeper/patches/1.png"):
        picture = draw(tmp_path / name)
    read = read_crops(tmp_path, CUT, LABELS)
    assert read.names == ("deeper/patches/1.png", "scratches/2.png", "scratches/10.png")
    assert read.truth == ("patches", "scratches", "scratches")
    assert (read.crops.shape, read.crops.dtype) == ((3, 1, 32, 32), np.uint8)
    served = cut_crops(picture, whole_image(picture), CUT, np.empty((1, 1, 32, 32), np.uint8))
    assert np.array_equal(read.crops[0], served[0])


def test_pictures_in_other_folders_have_no_truth(tmp_path: Path) -> None:
    for name in ("1.png", "monday/2.png"):
        draw(tmp_path / name)
    assert read_crops(tmp_path, CUT, LABELS).truth is None


@pytest.mark.parametrize("stranger", ["dents/1.png", "1.png"])
def test_labels_among_other_folders_are_refused(tmp_path: Path, stranger: str) -> None:
    folder = tmp_path / "golden"
    for name in ("patches/1.png", stranger):
        draw(folder / name)
    name = (folder / stranger).parent.name
    with pytest.raises(StationError, match=rf"golden: folder {name} is no label of the model \(patches, scratches\)"):
        read_crops(folder, CUT, LABELS)


def test_no_picture_and_no_folder_are_said(tmp_path: Path) -> None:
    (tmp_path / "read me.txt").touch()
    with pytest.raises(StationError, match=rf"^{tmp_path}: no picture there$"):
        read_crops(tmp_path, CUT, LABELS)
    with pytest.raises(StationError, match=r"none: No such file or directory"):
        read_crops(tmp_path / "none", CUT, LABELS)
    with pytest.raises(StationError, match=r"read me.txt: Not a directory"):
        read_crops(tmp_path / "read me.txt", CUT, LABELS)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nand no more", b"text"])
def test_a_picture_that_can_not_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    draw(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(content)
    with pytest.raises(StationError, match=r"2.png: unreadable"):
        read_crops(tmp_path, CUT, LABELS)


@pytest.mark.parametrize(("size_px", "count"), [(32, 1), (32, 75), (96, 20)])
def test_drawn_crops_are_as_many_as_asked_and_the_same_every_time(size_px: int, count: int) -> None:
    cut = CropCut(size_px=size_px, context=1.5, min_side_px=size_px)
    drawn = draw_crops(cut, count)
    assert (drawn.crops.shape, drawn.crops.dtype) == ((count, 1, size_px, size_px), np.uint8)
    assert len(set(drawn.names)) == count
    assert drawn.truth is None
    assert np.array_equal(drawn.crops, draw_crops(cut, count).crops)
    assert len({crop.tobytes() for crop in drawn.crops}) == count


def test_fewer_drawn_crops_are_the_first_of_more() -> None:
    assert np.array_equal(draw_crops(CUT, 30).crops, draw_crops(CUT, 60).crops[:30])


def test_the_command_writes_them(tmp_path: Path) -> None:
    place = tmp_path / "crops.npy"
    subprocess.run([sys.executable, "-m", "station.sample_crops", str(place), "12"], check=True, cwd=ROOT)
    assert np.array_equal(np.load(place), draw_crops(DEFAULT_CUT, 12).crops)
