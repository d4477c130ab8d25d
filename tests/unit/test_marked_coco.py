"""COCO files: boxes by picture, scaled to it, and files that are none."""

import json

import pytest

from shadowline.errors import StationError
from training.data.marks_coco import read_coco


def coco_file(tmp_path, **changes):
    values = {
        "info": {"year": 2026},
        "images": [
            {"id": 7, "file_name": "strip/a.png", "width": 100, "height": 50},
            {"id": 8, "file_name": "strip/b.png", "width": 100, "height": 50},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 10], "iscrowd": 0, "area": 300},
            {"id": 2, "image_id": 7, "category_id": 4, "bbox": [90, 40, 20, 20]},
        ],
        "categories": [{"id": 3, "name": "rosse"}, {"id": 4, "name": "hole"}],
    }
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(values | changes))
    return file


def test_boxes_are_scaled_to_the_picture_and_cut(tmp_path):
    found = read_coco(coco_file(tmp_path), {"rosse": "rust"}).boxes("strip/a.png", None, (200, 100))
    assert found.boxes == (("rust", (20, 40, 60, 20)), ("hole", (180, 80, 20, 20)))
    assert [kind for kind, _ in found.faults] == ["outside"]


def test_a_name_that_one_picture_has_is_enough(tmp_path):
    coco = read_coco(coco_file(tmp_path), {})
    assert len(coco.boxes("elsewhere/a.png", None, (100, 50)).boxes) == 2
    assert coco.boxes("c.png", None, (100, 50)).faults == (("missing", "not in coco.json"),)


def test_a_picture_without_boxes_is_known_to_be_good(tmp_path):
    found = read_coco(coco_file(tmp_path), {}).boxes("strip/b.png", None, (100, 50))
    assert (found.boxes, found.faults) == ((), ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": []}, "class 3"),
        ({"images": []}, "picture 7"),
        ({"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2]}]}, "not a COCO file"),
        ({"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, float("nan")]}]}, "not a COCO file"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path, changes, words):
    with pytest.raises(StationError, match=words):
        read_coco(coco_file(tmp_path, **changes), {})


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(StationError, match="not a COCO file"):
        read_coco(tmp_path / "none.json", {})
