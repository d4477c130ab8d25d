"""Pictures and what is marked in them: three kinds of boxes, masks, their faults, and a split that does not leak."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from shadowline.errors import ConfigError, StationError
from training.data import (
    MarkSettings,
    check_split,
    make_manifest,
    manifest_of,
    read_marked,
    read_tree,
    split_marked,
)

WIDTH, HEIGHT = 40, 30


def texture(seed):
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT // 2, WIDTH // 2), np.uint8)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def voc(path, *objects):
    """Write a Pascal VOC file of name and corners."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>"
        for name, (x0, y0, x1, y1) in objects
    )
    path.write_text(f"<annotation>{rows}</annotation>")


@pytest.fixture
def root(tmp_path):
    """Two class folders of two pictures each, with one VOC box a picture."""
    for seed, name in enumerate(("crack/a", "crack/b", "hole/c", "hole/d")):
        write(tmp_path / "pictures" / f"{name}.png", texture(seed))
        voc(tmp_path / "voc" / f"{name[-1]}.xml", (name[:-2], (4, 5, 14, 25)))
    return tmp_path


VOC = MarkSettings(pictures="pictures", boxes="voc")


def read(root, **changes):
    return read_marked(root, VOC.model_copy(update=changes))


def test_voc_boxes_come_with_their_pictures(root):
    pictures, notes = read(root)
    assert [one.path for one in pictures] == ["crack/a.png", "crack/b.png", "hole/c.png", "hole/d.png"]
    first = pictures[0]
    assert (first.size_px, first.labels, first.label) == ((WIDTH, HEIGHT), ("crack",), "crack")
    assert first.boxes.tolist() == [[4, 5, 10, 20]]
    assert np.array_equal(first.image(), texture(0))
    assert not first.is_good
    assert notes == ()


def test_without_a_mask_the_filled_boxes_are_the_defect(root):
    defect = read(root)[0][0].defect()
    assert defect.shape == (HEIGHT, WIDTH)
    assert defect.sum() == 10 * 20
    assert defect[5:25, 4:14].all()


@pytest.mark.parametrize(
    ("objects", "words", "boxes"),
    [
        ([("crack", (-3, 5, 60, 25))], "reach beyond their picture", [[0, 5, WIDTH, 20]]),
        ([("crack", (1, 1, 5, 5)), ("crack", (9, 9, 9, 12))], "without area", [[1, 1, 4, 4]]),
        ([("crack", (1, 1, 5, 5)), ("rust", (9, 9, 19, 19))], "name that is no class", [[1, 1, 4, 4]]),
        ([("crack", (1, 1, 5, 5)), ("crack", ("nan", 9, 9, 12))], "without area", [[1, 1, 4, 4]]),
        ([("hole", (1, 1, 5, 5))], "none of which has the picture's own label", [[1, 1, 4, 4]]),
    ],
)
def test_faulty_boxes_are_told_and_the_rest_is_used(root, objects, words, boxes):
    voc(root / "voc" / "a.xml", *objects)
    pictures, notes = read(root)
    assert pictures[0].boxes.tolist() == boxes
    assert any(words in note and "crack/a.png" in note for note in notes)


@pytest.mark.parametrize("text", [None, "no xml", "<annotation></annotation>"], ids=["missing", "damaged", "empty"])
def test_a_picture_of_which_nothing_is_known_is_left_out(root, text):
    file = root / "voc" / "a.xml"
    file.unlink() if text is None else file.write_text(text)
    pictures, notes = read(root)
    assert [one.path for one in pictures] == ["crack/b.png", "hole/c.png", "hole/d.png"]
    assert "pictures of which is not known what is in them, left out: 1" in notes


def test_equal_boxes_count_once(root):
    voc(root / "voc" / "a.xml", ("crack", (1, 1, 5, 5)), ("crack", (1, 1, 5, 5)))
    assert len(read(root)[0][0].boxes) == 1


def test_pictures_in_a_good_folder_need_no_marks(root):
    write(root / "pictures" / "fine" / "e.png", texture(9))
    pictures, notes = read(root, good=frozenset({"fine"}))
    good = [one for one in pictures if one.is_good]
    assert [one.path for one in good] == ["fine/e.png"]
    assert not good[0].defect().any()
    assert notes == ()


def test_a_picture_in_two_folders_is_kept_in_the_first(root):
    write(root / "pictures" / "hole" / "a.png", texture(0))
    pictures, notes = read(root)
    assert Counter(one.label for one in pictures) == {"crack": 2, "hole": 2}
    assert any("several folders" in note and "hole/a.png" in note for note in notes)


def test_a_picture_that_cannot_be_read_is_told(root):
    (root / "pictures" / "crack" / "z.png").write_bytes(b"no picture")
    pictures, notes = read(root)
    assert len(pictures) == 4
    assert any("can't be read" in note and "z.png" in note for note in notes)


def test_boxes_of_resized_pictures_are_scaled(root):
    first = read(root, box_size_px=(2 * WIDTH, HEIGHT))[0][0]
    assert first.boxes.tolist() == [[2, 5, 5, 20]]


def test_flat_pictures_take_every_box_name(tmp_path):
    write(tmp_path / "a.png", texture(0))
    voc(tmp_path / "voc" / "a.xml", ("rust", (1, 1, 5, 5)))
    write(tmp_path / "b.png", texture(1))
    voc(tmp_path / "voc" / "b.xml")
    pictures, _ = read_marked(tmp_path, MarkSettings(boxes="voc"))
    assert [(one.label, one.labels) for one in pictures] == [("", ("rust",)), ("", ())]


def mask_of(*boxes):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y, w, h in boxes:
        mask[y : y + h, x : x + w] = 255
    return mask


MASKS = MarkSettings(pictures="pictures", masks="masks", good=frozenset({"fine"}))


@pytest.fixture
def masked(tmp_path):
    for seed, name in enumerate(("crack/a", "crack/b", "fine/c")):
        write(tmp_path / "pictures" / f"{name}.jpg", texture(seed))
    write(tmp_path / "masks" / "crack" / "a.png", mask_of((2, 3, 4, 5), (20, 10, 6, 2)))
    write(tmp_path / "masks" / "b.png", mask_of((1, 1, 3, 3)))
    return tmp_path


def test_a_mask_gives_the_boxes_of_its_components(masked):
    pictures, notes = read_marked(masked, MASKS)
    assert sorted(pictures[0].boxes.tolist()) == [[2, 3, 4, 5], [20, 10, 6, 2]]
    assert pictures[0].labels == ("crack", "crack")
    assert np.array_equal(pictures[0].defect(), mask_of((2, 3, 4, 5), (20, 10, 6, 2)) > 0)
    assert [one.is_good for one in pictures] == [False, False, True]
    assert notes == ()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint8), "without a defect"),
        (np.ones((8, 8), np.uint8), "another size"),
        (b"no picture", "can't be read"),
        (None, "missing"),
    ],
)
def test_faulty_masks_are_told_and_their_pictures_left_out(masked, mask, words):
    file = masked / "masks" / "crack" / "a.png"
    if mask is None:
        file.unlink()
    elif isinstance(mask, bytes):
        file.write_bytes(mask)
    else:
        write(file, mask)
    pictures, notes = read_marked(masked, MASKS)
    assert [one.path for one in pictures] == ["crack/b.jpg", "fine/c.jpg"]
    assert any(note.startswith("masks") and words in note for note in notes)


def test_boxes_and_masks_go_together(masked):
    for name in "ab":
        voc(masked / "voc" / f"{name}.xml", ("crack", (0, 0, 9, 9)))
    pictures, _ = read_marked(masked, MASKS.model_copy(update={"boxes": "voc"}))
    assert pictures[0].boxes.tolist() == [[0, 0, 9, 9]]
    assert pictures[0].defect().sum() == 4 * 5 + 6 * 2


def test_coco_and_yolo_say_the_same_as_voc(root):
    images = [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate("abcd")]
    boxes = [
        {"id": number, "image_id": number, "category_id": number // 2, "bbox": [4, 5, 10, 20]} for number in range(4)
    ]
    names = [{"id": 0, "name": "crack"}, {"id": 1, "name": "hole"}]
    (root / "coco.json").write_text(json.dumps({"images": images, "annotations": boxes, "categories": names}))
    (root / "yolo").mkdir()
    (root / "yolo" / "classes.txt").write_text("crack\nhole\n")
    for number, name in enumerate("abcd"):
        line = f"{number // 2} {9 / WIDTH} {15 / HEIGHT} {10 / WIDTH} {20 / HEIGHT}\n"
        (root / "yolo" / f"{name}.txt").write_text(line)
    expected = [(one.path, one.labels, one.boxes.tolist()) for one in read(root)[0]]
    for source in ({"coco": "coco.json"}, {"yolo": "yolo"}):
        pictures, notes = read_marked(root, MarkSettings(pictures="pictures", **source))
        assert [(one.path, one.labels, one.boxes.tolist()) for one in pictures] == expected
        assert notes == ()


def test_two_sources_of_boxes_are_refused():
    with pytest.raises(ValidationError, match="exclude each other"):
        MarkSettings(boxes="voc", coco="coco.json")


def test_pictures_without_any_marks_are_refused(root):
    with pytest.raises(StationError, match="no picture with marks"):
        read_marked(root, MarkSettings(pictures="pictures"))


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(StationError, match="no such folder"):
        read_marked(tmp_path, MarkSettings(pictures="nowhere", boxes="voc"))


def test_a_pattern_that_no_name_has_is_told(root):
    with pytest.raises(ConfigError, match="no picture has such a name"):
        read(root, group_pattern=r"strip_(\d+)")


@pytest.fixture
def many(tmp_path):
    """Two class folders of 20 pictures each, every other one the twin in another light of the one before."""
    for seed in range(40):
        label = "crack" if seed < 20 else "hole"
        image = texture(seed // 2) if seed % 2 else texture(seed // 2) // 2 + 40
        write(tmp_path / "pictures" / label / f"{seed:02}.png", image)
        voc(tmp_path / "voc" / f"{seed:02}.xml", (label, (4, 5, 14, 25)))
    return tmp_path


def test_twins_stand_on_one_side(many):
    pictures, _ = read(many)
    sides = split_marked(pictures, 1)
    groups = [{one.group for one in side} for side in sides.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20
    assert sum(map(len, sides.values())) == 40
    assert {label for one in sides["test"] for label in one.labels} == {"crack", "hole"}


def test_the_split_is_that_of_the_classifier(many):
    pictures, _ = read(many)
    fractions = {"train": 0.6, "val": 0.2, "test": 0.2}
    manifest = make_manifest(read_tree(many / "pictures"), 7, fractions)
    sides = split_marked(pictures, 7, fractions)
    for name, side in sides.items():
        assert [one.path for one in side] == [one.path for one in manifest.of(name)]


def test_a_manifest_keeps_sides_groups_and_hashes(many):
    pictures, notes = read(many)
    sides = split_marked(pictures, 1, fold=0)
    manifest = manifest_of(sides, 1, notes)
    check_split(manifest)
    assert manifest.labels == ("crack", "hole")
    assert {one.sha256 for one in manifest.of("test")} == {one.sha256 for one in sides["test"]}


@pytest.mark.slow
def test_the_faults_of_real_labels_are_told(data):
    """The faults that the notes of the data list: files missing, a class `d`, frames in two folders, empty masks."""
    classes = {"1_chongkong": "punching_hole", "2_hanfeng": "welding_line", "3_yueyawan": "crescent_gap"}
    classes |= {"4_shuiban": "water_spot", "5_youban": "oil_spot", "6_siban": "silk_spot", "7_yiwu": "inclusion"}
    classes |= {
        "8_yahen": "rolled_pit",
        "9_zhehen": "crease",
        "10_yaozhe": "waist_folding",
        "10_yaozhed": "waist_folding",
    }
    strips = r"img_\d+_(\w+)_"
    gc10 = MarkSettings(pictures="gc10/images-224", boxes="gc10/annotations", aliases=classes, group_pattern=strips)
    pictures, notes = read_marked(data, gc10)
    assert len(pictures) == 1590
    told = "\n".join(notes)
    for words in ("several folders, kept in the first: 12", "missing: no file", "no class, dropped: 1 "):
        assert words in told
    assert all(np.all(one.boxes[:, :2] + one.boxes[:, 2:] <= 224) for one in pictures)
    tiles = MarkSettings(pictures="magnetic-tile/images", masks="magnetic-tile/masks", good={"MT_Free"})
    pictures, notes = read_marked(data, tiles)
    assert (len(pictures), sum(one.is_good for one in pictures)) == (589, 360)
    assert any("without a defect" in note and "3 pictures" in note for note in notes)
