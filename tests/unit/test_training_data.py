"""Picture trees, twins, splits and boxes: nothing is skipped silently, and nothing leaks."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import CropCut
from shadowline.errors import ConfigError, StationError
from training.data import make_manifest, read_boxes, read_grey, read_manifest, read_tree, twin_groups
from training.recipe import Renders, read_recipe
from training.samples import Sampler, box_samples, exact_crops, render_samples, whole_samples

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "shipped.toml"


def picture(seed, side=48):
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


@pytest.fixture
def root(tmp_path):
    """Two classes of 20 pictures; `b` begins with three copies of one picture, one of them relit and noisy."""
    for number, label in enumerate("ab"):
        (tmp_path / label).mkdir()
        for index in range(20):
            cv2.imwrite(str(tmp_path / label / f"{label}_{index}.png"), picture(100 * number + index))
    twin = picture(7777)
    near = np.clip(twin * 0.8 + 20 + np.random.default_rng(1).normal(0, 3, twin.shape), 0, 255).astype(np.uint8)
    for index, copy in enumerate((twin, twin, near)):
        cv2.imwrite(str(tmp_path / "b" / f"b_{index}.png"), copy)
    return tmp_path


def test_reads_class_folders_in_order_as_grey(root):
    tree = read_tree(root)
    assert Counter(tree.labels) == {"a": 20, "b": 20}
    assert list(tree.paths) == sorted(tree.paths)
    assert {image.dtype for image in tree.images} == {np.dtype(np.uint8)}


def test_a_colour_picture_is_read_as_grey_eight_bit(tmp_path):
    path = tmp_path / "colour.png"
    cv2.imwrite(str(path), np.full((8, 9, 3), (10, 200, 90), np.uint8))
    grey = read_grey(path)
    assert grey.shape == (8, 9)
    assert grey.dtype == np.uint8


def test_unreadable_pictures_are_reported_and_skipped(root):
    (root / "a" / "broken.png").write_bytes(b"no picture")
    (root / "a" / "empty.jpg").write_bytes(b"")
    tree = read_tree(root)
    assert set(tree.skipped) == {"a/broken.png", "a/empty.jpg"}
    assert "not a readable picture" in tree.skipped["a/broken.png"]
    assert make_manifest(tree, 1, SHARES).skipped == tree.skipped


def test_a_folder_without_pictures_is_one_clear_error(root):
    (root / "c").mkdir()
    with pytest.raises(StationError, match="no readable picture in this class folder"):
        read_tree(root)


@pytest.mark.parametrize("name", ["nowhere", "a"])
def test_a_root_without_class_folders_is_one_clear_error(root, name):
    with pytest.raises(StationError, match="no class folders"):
        read_tree(root / name)


def test_twins_share_a_group_and_others_do_not():
    twin = picture(1)
    groups = twin_groups([twin, picture(2), twin.copy(), (twin // 2 + 30).astype(np.uint8), picture(3)])
    assert groups[0] == groups[2] == groups[3]
    assert len(set(groups.tolist())) == 3


@pytest.mark.parametrize("seed", range(8))
def test_no_twin_stands_on_two_sides(root, seed):
    manifest = make_manifest(read_tree(root), seed, SHARES)
    sides = {p.path: p.split for p in manifest.pictures}
    assert len({sides[f"b/b_{index}.png"] for index in range(3)}) == 1
    per_group = {}
    for p in manifest.pictures:
        per_group.setdefault(p.group, set()).add(p.split)
    assert all(len(found) == 1 for found in per_group.values())


def test_the_split_is_stratified_seeded_and_complete(root):
    tree = read_tree(root)
    manifest = make_manifest(tree, 5, SHARES)
    assert manifest == make_manifest(tree, 5, SHARES)
    assert manifest.pictures != make_manifest(tree, 6, SHARES).pictures
    assert sorted(p.path for p in manifest.pictures) == sorted(tree.paths)
    counts = Counter((p.label, p.split) for p in manifest.pictures)
    for label in "ab":
        assert abs(counts[label, "train"] - 12) <= 2
        assert abs(counts[label, "val"] - 4) <= 2
        assert abs(counts[label, "test"] - 4) <= 2


def test_fractions_that_do_not_sum_to_one_are_refused(root):
    with pytest.raises(StationError, match="do not sum to 1"):
        make_manifest(read_tree(root), 1, {"train": 0.6, "val": 0.2, "test": 0.1})


def test_a_manifest_is_read_back_and_its_hash_covers_the_sides(root, tmp_path):
    tree = read_tree(root)
    manifest = make_manifest(tree, 5, SHARES)
    path = tmp_path / "manifest.json"
    path.write_text(manifest.model_dump_json())
    assert read_manifest(path) == manifest
    assert manifest.sha256() != make_manifest(tree, 6, SHARES).sha256()
    path.write_text('{"seed": 1}')
    with pytest.raises(StationError, match="not a split manifest"):
        read_manifest(path)


VOC = """<annotation><object><name>scratches</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>25</ymax>
</bndbox></object>{more}</annotation>"""
AGAIN = VOC[len("<annotation>") : VOC.index("{more}")]


def test_boxes_go_by_their_own_name_and_once_each(tmp_path):
    path = tmp_path / "inclusion_1.xml"
    other = AGAIN.replace("scratches", "inclusion").replace("<xmin>10", "<xmin>12")
    path.write_text(VOC.format(more=AGAIN + other))
    assert read_boxes(path) == (("scratches", (10, 20, 30, 5)), ("inclusion", (12, 20, 28, 5)))


@pytest.mark.parametrize("content", ["", "<annotation", VOC.format(more="").replace("<ymin>20</ymin>", "")])
def test_a_damaged_annotation_is_one_clear_error(tmp_path, content):
    path = tmp_path / "damaged.xml"
    path.write_text(content)
    with pytest.raises(StationError, match=r"damaged\.xml"):
        read_boxes(path)


def test_renders_of_two_sides_come_from_different_strips():
    renders = Renders(strips=(1, 1, 1), frames=1, side_px=320, defects_per_frame=3.0)
    labels = read_tree_labels()
    sides = [render_samples(renders, labels, split)["render"] for split in ("train", "val", "test")]
    frames = [side.images[0] for side in sides if len(side)]
    assert len(frames) >= 2
    assert all(not np.array_equal(one, other) for i, one in enumerate(frames) for other in frames[i + 1 :])


def read_tree_labels():
    return ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


def test_training_crops_come_from_the_training_side_only(root):
    tree = read_tree(root)
    for row, image in enumerate(tree.images):
        image[:] = 20 + row  # each picture is one level, so a crop without relighting tells where it comes from
    manifest = make_manifest(tree, 2, SHARES)
    samples = whole_samples(tree, manifest, "train")
    crops = exact_crops(samples, CropCut(size_px=16, context=1.0, min_side_px=16))
    rows = set((crops.mean((1, 2, 3)) - 20).astype(int).tolist())
    assert {tree.paths[row] for row in rows} == {p.path for p in manifest.of("train")}


def test_a_sampler_repeats_itself_by_seed_and_keeps_classes_and_shape(root):
    tree = read_tree(root)
    samples = whole_samples(tree, make_manifest(tree, 2, SHARES), "train")
    recipe = read_recipe(RECIPE)
    crops, classes = Sampler([(1.0, samples)], recipe).batch(64)
    again, _ = Sampler([(1.0, samples)], recipe).batch(64)
    assert np.array_equal(crops, again)
    assert crops.shape == (64, 1, recipe.crop.size_px, recipe.crop.size_px)
    assert 16 <= np.count_nonzero(classes == 0) <= 48


def test_a_recipe_says_which_key_is_wrong(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(RECIPE.read_text().replace("batch = 64", "batch = 0"))
    with pytest.raises(ConfigError, match=r"bad\.toml: batch: "):
        read_recipe(path)


def test_real_annotations_belong_to_their_pictures(data):
    recipe = read_recipe(RECIPE)
    tree = read_tree(data / recipe.pictures)
    manifest = make_manifest(tree, recipe.seed, dict(zip(("train", "val", "test"), recipe.fractions, strict=True)))
    sides = {p.path: p.split for p in manifest.pictures}
    assert sides["patches/patches_101.png"] == sides["patches/patches_105.png"]
    assert not tree.skipped
    boxes = box_samples(tree, manifest, "val", data / recipe.boxes)
    inside = [b[0] >= 0 and b[0] + b[2] <= 200 and b[1] + b[3] <= 200 for b in boxes.boxes.tolist()]
    assert len(boxes) > 200
    assert all(inside)
