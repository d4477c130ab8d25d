"""What belongs together: twins in another light, shifted or copied, and names of one strip; and nothing else."""

import cv2
import numpy as np
import pytest

from shadowline.errors import ConfigError
from training.data import group_pictures, read_tree, twin_groups
from training.data.groups import join


def picture(seed, side=96):
    """Return coarse noise, as a surface has it."""
    noise = np.random.default_rng(seed).normal(0, 1, (side, side)).astype(np.float32)
    coarse = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.clip(128 + 40 * coarse / coarse.std(), 0, 255).astype(np.uint8)


def relit(image):
    ramp = np.linspace(0.5, 1.1, image.shape[1])
    noise = np.random.default_rng(1).normal(0, 3, image.shape)
    return np.clip(image * ramp + 20 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [np.copy, relit, lambda image: image // 2 + 30, lambda image: np.roll(image, (3, -4), (0, 1))],
    ids=["copy", "relit", "exposure", "shifted"],
)
def test_twins_share_a_group_and_others_do_not(change):
    twin = picture(1)
    groups = twin_groups([twin, picture(2), change(twin), picture(3)])
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_a_strong_edge_that_all_have_makes_no_twins():
    images = []
    for seed in range(6):
        image = picture(seed) // 4 + 120
        image[:, :30] //= 8
        images.append(image.astype(np.uint8))
    assert len(set(twin_groups(images).tolist())) == 6


def test_flat_pictures_are_twins_of_nothing():
    images = [np.full((64, 64), level, np.uint8) for level in (0, 0, 90)]
    assert twin_groups([*images, picture(1)]).tolist() == [0, 1, 2, 3]


def test_many_pictures_are_compared_block_by_block():
    images = [picture(seed, 48) for seed in range(600)]
    images[599] = images[5]
    groups = twin_groups(images)
    assert groups[599] == 5
    assert len(set(groups.tolist())) == 599


def test_chains_are_joined_to_their_lowest_row():
    edges = np.array([[7, 6], [5, 6], [5, 4], [4, 3], [0, 1]])
    assert join(9, edges).tolist() == [0, 0, 2, 3, 3, 3, 3, 3, 8]


@pytest.fixture
def tree(tmp_path):
    """Six pictures of strips 11, 11, 12, 12, none, none; the last is a twin of the first, the third a flat copy."""
    for row, name in enumerate(("s_11_0", "s_11_1", "s_12_0", "s_12_1", "other", "twin")):
        (tmp_path / "a").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "a" / f"{row}_{name}.png"), picture(row if row < 5 else 0))
    return read_tree(tmp_path)


def test_groups_are_the_union_of_twins_and_names(tree):
    assert group_pictures(tree).tolist() == [0, 1, 2, 3, 4, 0]
    assert group_pictures(tree, r"s_(\d+)_").tolist() == [0, 0, 2, 2, 4, 0]


def test_flat_copies_are_known_by_their_hash(tmp_path):
    (tmp_path / "a").mkdir()
    for name in "xy":
        cv2.imwrite(str(tmp_path / "a" / f"{name}.png"), np.zeros((50, 50), np.uint8))
    assert group_pictures(read_tree(tmp_path)).tolist() == [0, 0]


@pytest.mark.parametrize("pattern", ["s_(", r"s_\d+"])
def test_a_pattern_without_a_group_is_refused(tree, pattern):
    with pytest.raises(ConfigError, match="not a regular expression with a group"):
        group_pictures(tree, pattern)


def test_a_pattern_that_no_name_has_is_refused(tree):
    with pytest.raises(ConfigError, match=r"no picture has such a name"):
        group_pictures(tree, r"strip(\d+)")


def test_real_twins_are_found_and_real_strips_are_not_chained(data):
    neu = read_tree(data / "neu" / "images")
    group = dict(zip(neu.paths, group_pictures(neu).tolist(), strict=True))
    for one, other in (("patches_101", "patches_105"), ("patches_189", "patches_193")):
        assert group[f"patches/{one}.png"] == group[f"patches/{other}.png"]
    assert len(set(group.values())) >= 1245
    tiles = read_tree(data / "magnetic-tile" / "images")
    sizes = np.unique(group_pictures(tiles), return_counts=True)[1]
    assert 200 <= len(sizes) <= 260
    assert sizes.max() <= 12
