"""The split: nothing leaks, every class is shared out, folds cover everything, and it is read back as it was."""

from collections import Counter

import cv2
import numpy as np
import pytest

from shadowline.errors import ConfigError, StationError
from training.data import check_leak, check_split, make_manifest, read_manifest, read_tree

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def picture(seed, side=48):
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


def write_class(root, label, count, strip_of=lambda index: index):
    (root / label).mkdir(parents=True)
    for index in range(count):
        image = picture(1000 * ord(label) + index)
        cv2.imwrite(str(root / label / f"{label}_{strip_of(index)}_{index}.png"), image)


@pytest.fixture
def root(tmp_path):
    """Two classes of 20 pictures; `b` begins with three copies of one picture, one of them relit and noisy."""
    root = tmp_path / "pictures"
    for label in "ab":
        write_class(root, label, 20)
    twin = picture(7777)
    near = np.clip(twin * 0.8 + 20 + np.random.default_rng(1).normal(0, 3, twin.shape), 0, 255).astype(np.uint8)
    for index, copy in enumerate((twin, twin, near)):
        cv2.imwrite(str(root / "b" / f"b_{index}_{index}.png"), copy)
    return root


def counts_of(manifest):
    return Counter((p.label, p.split) for p in manifest.pictures)


@pytest.mark.parametrize("seed", range(8))
def test_no_twin_stands_on_two_sides(root, seed):
    manifest = make_manifest(read_tree(root), seed, SHARES)
    sides = {p.path: p.split for p in manifest.pictures}
    assert len({sides[f"b/b_{index}_{index}.png"] for index in range(3)}) == 1
    check_split(manifest)


def test_the_split_is_stratified_seeded_and_complete(root):
    tree = read_tree(root)
    manifest = make_manifest(tree, 5, SHARES)
    assert manifest == make_manifest(tree, 5, SHARES)
    assert manifest.pictures != make_manifest(tree, 6, SHARES).pictures
    assert sorted(p.path for p in manifest.pictures) == sorted(tree.paths)
    counts = counts_of(manifest)
    for label in "ab":
        assert [counts[label, side] for side in ("train", "val", "test")] == pytest.approx([12, 4, 4], abs=1)


def test_the_folds_are_disjoint_and_cover_everything(root):
    tree = read_tree(root)
    folds = [make_manifest(tree, 5, SHARES, fold=fold) for fold in range(5)]
    tested = [p.path for manifest in folds for p in manifest.of("test")]
    assert sorted(tested) == sorted(tree.paths)
    for manifest in folds:
        check_split(manifest)
        assert {(label, side) for label in "ab" for side in SHARES} == set(counts_of(manifest))


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_that_is_not_there_is_refused(root, fold):
    with pytest.raises(ConfigError, match="makes 5 folds"):
        make_manifest(read_tree(root), 5, SHARES, fold=fold)


def test_one_strip_stays_on_one_side_and_the_classes_keep_their_shares(tmp_path):
    write_class(tmp_path / "p", "a", 40, lambda index: index // 4)
    write_class(tmp_path / "p", "b", 20, lambda index: index // 2)
    manifest = make_manifest(read_tree(tmp_path / "p"), 3, SHARES, r"^(\w_\d+)_")
    sides = {}
    for p in manifest.pictures:
        sides.setdefault(p.path.rsplit("_", 1)[0], set()).add(p.split)
    assert len(sides) == 20
    assert all(len(found) == 1 for found in sides.values())
    counts = counts_of(manifest)
    assert [counts["a", side] for side in ("train", "val", "test")] == [24, 8, 8]
    assert [counts["b", side] for side in ("train", "val", "test")] == [12, 4, 4]
    assert "60 pictures make 20 groups, 20 of several pictures; the largest: 4 a" in manifest.notes


@pytest.mark.parametrize(
    ("count", "there", "note"),
    [
        (2, {"train", "test"}, "class c has 2 groups of pictures: none of them in val"),
        (3, {"train", "test", "val"}, None),
        (5, {"train", "test", "val"}, None),
    ],
)
def test_a_small_class_is_in_train_then_test_then_val(root, count, there, note):
    write_class(root, "c", count)
    manifest = make_manifest(read_tree(root), 4, SHARES)
    assert {side for label, side in counts_of(manifest) if label == "c"} == there
    assert [text for text in manifest.notes if "class c" in text] == ([note] if note else [])


def test_a_class_of_one_picture_is_one_clear_error(root):
    write_class(root, "c", 1)
    with pytest.raises(StationError, match="class c has one usable picture; add more or remove its folder"):
        make_manifest(read_tree(root), 1, SHARES)


def test_fractions_that_do_not_sum_to_one_are_refused(root):
    with pytest.raises(ConfigError, match="do not sum to 1"):
        make_manifest(read_tree(root), 1, {"train": 0.6, "val": 0.2, "test": 0.1})


def test_a_manifest_is_read_back_and_its_hash_covers_sides_and_labels(root, tmp_path):
    tree = read_tree(root)
    manifest = make_manifest(tree, 5, SHARES)
    path = tmp_path / "manifest.json"
    path.write_text(manifest.model_dump_json())
    assert read_manifest(path) == manifest
    assert manifest.sha256() != make_manifest(tree, 6, SHARES).sha256()
    more = manifest.pictures[0].model_copy(update={"also": ("b",)})
    assert manifest.model_copy(update={"pictures": (more, *manifest.pictures[1:])}).sha256() != manifest.sha256()
    path.write_text('{"seed": 1}')
    with pytest.raises(StationError, match="not a split manifest"):
        read_manifest(path)


@pytest.mark.parametrize("key", ["group", "sha256"])
def test_a_leak_between_two_sides_fails_loudly(root, key):
    manifest = make_manifest(read_tree(root), 5, SHARES)
    learnt, tested = manifest.of("train")[0], manifest.of("test")[0]
    bad = tested.model_copy(update={key: getattr(learnt, key)})
    others = tuple(p for p in manifest.pictures if p != tested)
    with pytest.raises(StationError, match=r"the split leaks: .* in train, .* in test"):
        check_split(manifest.model_copy(update={"pictures": (*others, bad)}))


@pytest.mark.parametrize("change", [lambda image: image, lambda image: (image * 0.7 + 9).astype(np.uint8)])
def test_a_test_folder_that_was_learnt_from_fails_loudly(root, tmp_path, change):
    write_class(tmp_path / "test", "z", 4)
    learnt = read_tree(root)
    assert check_leak(learnt, read_tree(tmp_path / "test")) == ()
    cv2.imwrite(str(tmp_path / "test" / "z" / "leak.png"), change(learnt.images[7]))
    with pytest.raises(StationError, match=rf"learnt from: 1 of 5 \(z/leak\.png is {learnt.paths[7]}\)"):
        check_leak(learnt, read_tree(tmp_path / "test"))


def test_a_test_picture_that_is_like_a_learnt_one_is_noted(root, tmp_path):
    write_class(tmp_path / "test", "z", 4)
    learnt = read_tree(root)
    like = 0.55 * learnt.images[7] + 0.45 * picture(4321)
    cv2.imwrite(str(tmp_path / "test" / "z" / "like.png"), like.astype(np.uint8))
    (note,) = check_leak(learnt, read_tree(tmp_path / "test"))
    assert f"1 of 5 (z/like.png is {learnt.paths[7]})" in note
