"""Groups of unlabelled crops: found, counted, ordered, and laid out for an engineer to name."""

import csv

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from training.cluster import cluster, write_clusters
from training.data import read_tree


def groups(sizes, seed=0, noise=0.25, depth=16):
    """Crops around one direction a group, rows of length 1, in mixed order."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = np.eye(depth)[classes] + rng.normal(0, noise / np.sqrt(depth), (len(classes), depth))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), classes


def purity(assignment, classes):
    return sum(np.bincount(classes[assignment == number]).max() for number in np.unique(assignment)) / len(classes)


def test_groups_of_unequal_size_are_told_apart_largest_first():
    points, classes = groups((60, 40, 20, 15))
    found = cluster(points, 4)
    assert purity(found.assignment, classes) == 1
    assert [len(rows) for rows in found.order] == [60, 40, 20, 15]
    for number, rows in enumerate(found.order):
        assert set(found.assignment[rows].tolist()) == {number}


@pytest.mark.parametrize(("count", "size"), [(2, 40), (5, 40), (9, 40), (14, 120)])
def test_the_number_of_groups_is_found_or_split_but_none_is_merged(count, size):
    points, classes = groups((size,) * count, seed=count)
    found = cluster(points)
    assert purity(found.assignment, classes) > 0.99
    assert count <= len(found.order) <= count + 3


def test_the_same_crops_give_the_same_clusters():
    points, _ = groups((30, 30, 30), noise=1.0)
    assert np.array_equal(cluster(points).assignment, cluster(points).assignment)


def test_the_odd_ones_of_a_cluster_come_last():
    points, classes = groups((40, 40))
    odd = np.flatnonzero(classes == 0)[:3]
    points[odd] = 0.8 * points[odd] + 0.6 * np.eye(16, dtype=np.float32)[[9, 10, 11]]
    found = cluster(points, 2)
    rows = found.order[found.assignment[odd[0]]]
    assert set(rows[-3:].tolist()) == set(odd.tolist())


@pytest.mark.parametrize(("pictures", "count"), [(2, None), (10, 1), (10, 10)])
def test_impossible_counts_are_refused(pictures, count):
    with pytest.raises(StationError):
        cluster(groups((pictures,))[0], count)


def test_the_smallest_set_is_grouped():
    assert len(cluster(np.eye(3, dtype=np.float32)[[0, 0, 1]]).order) == 2


@pytest.fixture
def pictures(tmp_path):
    """Twelve dark and eight light pictures in two folders, with the same file names in both."""
    images, paths = [], []
    for row in range(20):
        images.append(np.full((20, 30), 40 if row < 12 else 200, np.uint8))
        images[-1][8:12, 8:12] += np.uint8(row)
        paths.append(tmp_path / "source" / f"camera{row % 2}" / f"{row // 2}.png")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(paths[-1]), images[-1])
    points = np.eye(4, dtype=np.float32)[[0] * 12 + [1] * 8]
    points += np.random.default_rng(0).normal(0, 0.05, points.shape).astype(np.float32)
    return images, paths, cluster(points / np.linalg.norm(points, axis=1, keepdims=True), 2)


def test_the_folder_is_a_training_tree_once_named(pictures, tmp_path):
    images, paths, clusters = pictures
    out = tmp_path / "deep" / "out"
    write_clusters(images, paths, clusters, out)
    (out / "pictures" / "cluster-01").rename(out / "pictures" / "dark")
    (out / "pictures" / "cluster-02").rename(out / "pictures" / "light")
    tree = read_tree(out / "pictures")
    assert len(tree.paths) + len(tree.skipped) == 20
    for image, label in zip(tree.images, tree.labels, strict=True):
        assert int(image[0, 0]) == {"dark": 40, "light": 200}[label]


def test_the_list_says_where_every_copy_came_from_typical_first(pictures, tmp_path):
    images, paths, clusters = pictures
    write_clusters(images, paths, clusters, tmp_path / "out")
    with (tmp_path / "out" / "names.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    first = [row for row in rows if row["cluster"] == "cluster-01"]
    assert [row["source"] for row in first] == [paths[row].as_posix() for row in clusters.order[0]]
    for row in rows:
        copy = tmp_path / "out" / "pictures" / row["cluster"] / row["picture"]
        assert copy.read_bytes() == (tmp_path / row["source"]).read_bytes()


def test_each_cluster_has_a_sheet_and_all_have_one_together(pictures, tmp_path):
    images, paths, clusters = pictures
    write_clusters(images, paths, clusters, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out" / "sheets").iterdir()} == {"cluster-01.png", "cluster-02.png"}
    for path in (*(tmp_path / "out" / "sheets").iterdir(), tmp_path / "out" / "overview.png"):
        assert cv2.imread(str(path)).size > 0


def test_a_folder_that_may_hold_named_clusters_is_never_overwritten(pictures, tmp_path):
    images, paths, clusters = pictures
    (tmp_path / "out").mkdir()
    with pytest.raises(StationError, match="give a new folder"):
        write_clusters(images, paths, clusters, tmp_path / "out")


def test_a_picture_that_is_gone_leaves_nothing_half_written(pictures, tmp_path):
    images, paths, clusters = pictures
    paths[5].unlink()
    with pytest.raises(StationError, match="can't write the clusters"):
        write_clusters(images, paths, clusters, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"source"}
