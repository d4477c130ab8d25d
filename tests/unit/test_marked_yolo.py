"""YOLO text files: boxes by picture, names by number, and lines that are none."""

import pytest

from shadowline.errors import StationError
from training.data.marks_yolo import read_yolo, read_yolo_names

NAMES = ("crack", "hole")


def read(tmp_path, text, labels=None):
    (tmp_path / "a.txt").write_text(text)
    return read_yolo(tmp_path, "strip/a.png", NAMES, labels, (100, 50))


def test_boxes_are_in_pixels_of_the_picture(tmp_path):
    found = read(tmp_path, "1 0.5 0.5 0.2 0.4\n\n0 0.05 0.1 0.1 0.2\n")
    assert found.boxes == (("hole", (40, 15, 20, 20)), ("crack", (0, 0, 10, 10)))
    assert found.faults == ()


def test_the_folders_may_be_laid_out_as_the_pictures(tmp_path):
    (tmp_path / "strip").mkdir()
    (tmp_path / "strip" / "a.txt").write_text("0 0.5 0.5 0.2 0.4")
    assert read(tmp_path, "").boxes == (("crack", (40, 15, 20, 20)),)


@pytest.mark.parametrize(
    ("text", "kind", "boxes"),
    [
        ("0 0.5 0.5 0 0.4", "empty", 0),
        ("0 0.95 0.5 0.2 0.4", "outside", 1),
        ("7 0.5 0.5 0.2 0.4", "unknown", 0),
        ("-1 0.5 0.5 0.2 0.4", "unknown", 0),
        ("0 nan 0.5 0.2 0.4", "empty", 0),
        ("0 0.5 0.5", "damaged", 0),
        ("crack 0.5 0.5 0.2 0.4", "damaged", 0),
    ],
)
def test_faults_are_told(tmp_path, text, kind, boxes):
    found = read(tmp_path, text)
    assert [name for name, _ in found.faults] == [kind]
    assert len(found.boxes) == boxes


def test_an_empty_file_is_a_good_picture_and_none_is_a_fault(tmp_path):
    assert read(tmp_path, "").faults == ()
    missing = read_yolo(tmp_path, "b.png", NAMES, None, (100, 50))
    assert missing.faults == (("missing", "b.txt"),)


def test_labels_that_do_not_count_are_dropped(tmp_path):
    found = read(tmp_path, "0 0.5 0.5 0.2 0.4\n1 0.5 0.5 0.2 0.4", labels=("hole",))
    assert [label for label, _ in found.boxes] == ["hole"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "rosse\nhole\n"),
        ("data.yaml", "names: [rosse, hole]"),
        ("data.yml", "names: {0: rosse, 1: hole}"),
    ],
)
def test_names_come_from_text_or_yaml(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_yolo_names(tmp_path / name, {"rosse": "rust"}) == ("rust", "hole")


@pytest.mark.parametrize(
    ("name", "text"),
    [("classes.txt", "a\n\nb\n"), ("data.yaml", "train: pictures"), ("data.yaml", "{"), ("data.yaml", "names: {1: a}")],
)
def test_files_without_names_are_told(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(StationError, match="class names"):
        read_yolo_names(tmp_path / name, {})


def test_missing_names_are_told(tmp_path):
    with pytest.raises(StationError, match="class names"):
        read_yolo_names(tmp_path / "classes.txt", {})
