"""Reading a picture tree: what is in it, what is left out and why, and one rule for the grey levels of all."""

import hashlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from training.data import make_manifest, read_grey, read_tree

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def picture(seed, side=48):
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


def write(path, image):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def root(tmp_path):
    """Two classes of five pictures."""
    for seed in range(10):
        write(tmp_path / "ab"[seed // 5] / f"{seed}.png", picture(seed))
    return tmp_path


def test_reads_class_folders_in_order_as_grey_with_their_hashes(root):
    tree = read_tree(root)
    assert Counter(tree.labels) == {"a": 5, "b": 5}
    assert list(tree.paths) == sorted(tree.paths)
    assert np.array_equal(tree.images[7], picture(7))
    assert tree.sha256[7] == hashlib.sha256((root / "b" / "7.png").read_bytes()).hexdigest()
    assert tree.notes == ()


@pytest.mark.parametrize(
    "pixels", [np.full((8, 9, 3), (10, 200, 90), np.uint8), np.full((8, 9, 4), (10, 200, 90, 0), np.uint8)]
)
def test_colour_and_alpha_become_grey_by_colour_alone(tmp_path, pixels):
    write(tmp_path / "colour.png", pixels)
    grey = read_grey(tmp_path / "colour.png")
    assert grey.shape == (8, 9)
    assert grey.dtype == np.uint8
    assert grey[0, 0] == round(0.114 * 10 + 0.587 * 200 + 0.299 * 90)


@pytest.mark.parametrize(("top", "bits"), [(900, 10), (3000, 12), (4096, 16)])
def test_sixteen_bit_files_are_scaled_by_the_largest_value_of_the_tree(tmp_path, top, bits):
    for number, level in enumerate((512, 800, top)):
        image = picture(number).astype(np.uint16)
        image[0, 0] = level
        write(tmp_path / "ab"[number % 2] / f"{number}.png", image)
    tree = read_tree(tmp_path)
    assert sorted(int(image[0, 0]) for image in tree.images) == sorted(v >> (bits - 8) for v in (512, 800, top))
    assert f"3 pictures of 16 bits taken as {bits} bits" in tree.notes[0]


def test_mixed_depths_and_sizes_are_noted_in_tree_and_manifest(root):
    write(root / "a" / "deep.tif", picture(50).astype(np.uint16) << 8)
    write(root / "b" / "large.bmp", picture(51, 60))
    tree = read_tree(root)
    notes = " ".join(tree.notes)
    assert "bit depths are mixed: 1 pictures of 16 bits, 11 of 8" in notes
    assert "2 picture sizes; the most frequent is 48x48" in notes
    assert set(tree.notes) <= set(make_manifest(tree, 1, SHARES).notes)
    assert np.array_equal(tree.images[tree.paths.index("a/deep.tif")], picture(50))


def test_unreadable_and_cut_off_pictures_are_reported_and_skipped(root):
    (root / "a" / "broken.png").write_bytes(b"no picture")
    (root / "a" / "empty.jpg").write_bytes(b"")
    whole = cv2.imencode(".jpg", picture(60, 200))[1].tobytes()
    (root / "a" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(root / "a" / "float.tif"), picture(61).astype(np.float32))
    tree = read_tree(root)
    assert set(tree.skipped) == {"a/broken.png", "a/empty.jpg", "a/half.jpg", "a/float.tif"}
    assert all("not a readable picture" in why for why in tree.skipped.values())
    assert "its end is missing" in tree.skipped["a/half.jpg"]
    assert "8 or 16 bits" in tree.skipped["a/float.tif"]
    assert make_manifest(tree, 1, SHARES).skipped == tree.skipped


def test_hidden_folders_deeper_folders_and_other_files_are_no_pictures(root):
    write(root / ".cache" / "x.png", picture(70))
    (root / "a" / "notes.txt").write_text("about a")
    write(root / "a" / ".hidden.png", picture(71))
    (root / "a" / "deeper").mkdir()
    write(root / "a" / "deeper" / "x.png", picture(72))
    assert len(read_tree(root).paths) == 10


def test_a_folder_without_pictures_is_one_clear_error(root):
    (root / "c").mkdir()
    with pytest.raises(StationError, match="class c: no readable picture in this class folder"):
        read_tree(root)


@pytest.mark.parametrize("name", ["nowhere", "a"])
def test_a_root_without_class_folders_is_one_clear_error(root, name):
    with pytest.raises(StationError, match="no class folders"):
        read_tree(root / name)


def test_a_picture_in_two_classes_is_left_out_with_its_reason(root):
    write(root / "b" / "copy.png", picture(3))
    tree = read_tree(root)
    assert tree.skipped == dict.fromkeys(("a/3.png", "b/copy.png"), "the same picture stands in a and b")
    assert not {"a/3.png", "b/copy.png"} & set(tree.paths)
    assert tree.notes == ("pictures that stand in several class folders, left out of every side: 1",)


def test_a_picture_in_two_classes_may_be_kept_once_with_both_labels(root):
    write(root / "b" / "copy.png", picture(3))
    tree = read_tree(root, "also")
    assert tree.also == {"a/3.png": ("b",)}
    assert set(tree.skipped) == {"b/copy.png"}
    kept = {p.path: p for p in make_manifest(tree, 1, SHARES).pictures}["a/3.png"]
    assert (kept.label, kept.also) == ("a", ("b",))


def test_a_copy_within_a_class_stays(root):
    write(root / "a" / "copy.png", picture(3))
    assert len(read_tree(root).paths) == 11


def test_aliases_join_class_folders(root):
    (root / "b").rename(root / "a_typo")
    write(root / "c" / "c.png", picture(90))
    assert Counter(read_tree(root, aliases={"a_typo": "a"}).labels) == {"a": 10, "c": 1}


def test_real_pictures_in_two_classes_are_all_found(data):
    tree = read_tree(Path(data) / "gc10" / "images-224")
    assert len(tree.skipped) == 24
    assert len({Path(path).name for path in tree.skipped}) == 12
