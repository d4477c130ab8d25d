"""Boxes of annotation files: by their own names, in the picture's pixels, and every fault reported."""

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from training.data import box_notes, boxes_of, make_manifest, read_boxes, read_tree, with_box_labels
from training.data.boxes import read_annotation

GC10 = {"10_yaozhe": "waist_folding", "10_yaozhed": "waist_folding", "2_hanfeng": "welding_line"}


def voc(*objects, size=None):
    """Return an annotation of (name, xmin, ymin, xmax, ymax) objects."""
    corners = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    found = (f"<object><name>{o[0]}</name><bndbox>{corners.format(*o[1:])}</bndbox></object>" for o in objects)
    shape = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation>{shape}{''.join(found)}</annotation>"


def test_boxes_go_by_their_own_name_and_once_each(tmp_path):
    path = tmp_path / "inclusion_1.xml"
    scratch = ("scratches", 10, 20, 40, 25)
    path.write_text(voc(scratch, scratch, ("inclusion2", 12, 20, 40, 25)))
    assert read_boxes(path) == (("scratches", (10, 20, 30, 5)), ("inclusion", (12, 20, 28, 5)))


@pytest.mark.parametrize(
    "content",
    ["", "<annotation", voc(("a", 1, 2, 3, 4)).replace("<ymin>2</ymin>", ""), voc(("a", "left", 2, 3, 4))],
)
def test_a_damaged_annotation_is_one_clear_error(tmp_path, content):
    path = tmp_path / "damaged.xml"
    path.write_text(content)
    with pytest.raises(StationError, match=r"damaged\.xml"):
        read_boxes(path)


def test_aliases_are_asked_for_the_whole_name_first(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(
        voc(("10_yaozhe", 0, 0, 9, 9), ("10_yaozhed", 5, 5, 9, 9), ("2_hanfeng", 1, 1, 9, 9), ("d", 0, 0, 1, 1))
    )
    names = [name for name, _ in read_boxes(path, GC10)]
    assert names == ["waist_folding", "waist_folding", "welding_line", "d"]


@pytest.mark.parametrize(("stated", "full"), [((2048, 1000), None), (None, (2048, 1000)), ((0, 0), (2048, 1000))])
def test_boxes_of_a_larger_picture_are_scaled_in_x_and_y_apart(tmp_path, stated, full):
    path = tmp_path / "a.xml"
    path.write_text(voc(("a", 512, 250, 1024, 500), size=stated))
    assert read_boxes(path, size=(224, 224), full=full) == (("a", (56, 56, 56, 56)),)


def test_a_wrong_size_in_the_file_is_overruled(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(voc(("a", 512, 250, 1024, 500), size=(512, 512)))
    assert read_boxes(path, size=(224, 224), full=(2048, 1000)) == (("a", (56, 56, 56, 56)),)


def test_a_thin_box_keeps_a_pixel_when_it_is_scaled(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(voc(("a", 100, 101, 102, 103), size=(2000, 2000)))
    assert read_boxes(path, size=(200, 200)) == (("a", (10, 10, 1, 1)),)


def test_boxes_are_cut_to_their_picture_and_every_fault_is_told(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(voc(("a", -5, 10, 30, 120), ("a", 200, 200, 210, 210), ("a", 9, 9, 9, 20), ("d", 1, 1, 5, 5)))
    found = read_annotation(path, {"a"}, size=(100, 100))
    assert found.boxes == (("a", (0, 10, 30, 90)),)
    assert [kind for kind, _ in found.faults] == ["outside", "outside", "empty", "unknown"]
    assert found.faults[-1] == ("unknown", "d")


@pytest.fixture
def tree(tmp_path):
    """Pictures a/1, a/2, a/3, b/4, b/5 of 50 pixels with boxes: right, of both, of b only, none, damaged."""
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for number, label in enumerate("aaabb", start=1):
        (tmp_path / "pictures" / label).mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).integers(0, 256, (50, 50), np.uint8)
        cv2.imwrite(str(tmp_path / "pictures" / label / f"{number}.png"), image)
    a, b, other = ("a", 1, 1, 9, 9), ("b", 1, 1, 9, 9), ("d", 1, 1, 9, 9)
    for number, objects in enumerate(((a,), (a, b, other), (b,)), start=1):
        (boxes / f"{number}.xml").write_text(voc(*objects))
    (boxes / "5.xml").write_text("<annot")
    return read_tree(tmp_path / "pictures"), boxes


def test_the_faults_of_a_tree_are_found_by_kind(tree):
    faults = {path: [kind for kind, _ in one.faults] for path, one in boxes_of(*tree).items()}
    assert faults == {
        "a/1.png": [],
        "a/2.png": ["unknown"],
        "a/3.png": ["disagrees"],
        "b/4.png": ["missing"],
        "b/5.png": ["damaged"],
    }
    notes = box_notes(boxes_of(*tree))
    assert len(notes) == 4
    assert any("disagrees" not in note and "a/3.png (a, but boxes of b)" in note for note in notes)


def test_labels_of_boxes_stand_beside_the_folders_label(tree):
    labelled = with_box_labels(*tree)
    assert labelled.also == {"a/2.png": ("b",), "a/3.png": ("b",)}
    assert labelled.notes == (*tree[0].notes, *box_notes(boxes_of(*tree)))
    manifest = make_manifest(labelled, 1, {"train": 0.5, "test": 0.5})
    assert {p.path: p.also for p in manifest.pictures if p.also} == labelled.also


def test_real_annotations_belong_to_their_pictures(data):
    tree = read_tree(data / "neu" / "images")
    found = boxes_of(tree, data / "neu" / "annotations")
    boxes = [(name, box) for one in found.values() for name, box in one.boxes]
    assert len(boxes) > 2800
    assert {name for name, _ in boxes} == set(tree.labels)
    assert all(x >= 0 and y >= 0 and x + w <= 200 and y + h <= 200 for _, (x, y, w, h) in boxes)
    assert not box_notes(found)
