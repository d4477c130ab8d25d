"""Which pictures are measured on: a side, and none that a model has learnt from."""

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from training.assess.choice import choose, read_run_manifests, refuse_learnt
from training.data import MarkSettings, manifest_of, read_marked, split_marked


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(0, 255, (24, 24), np.uint8)
        (root / "fine").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "fine" / f"{seed:02}.png"), noise)
    return read_marked(root, MarkSettings(good={"fine"}))[0]


def test_without_a_manifest_it_is_the_side_of_the_own_split(pictures):
    own = split_marked(pictures, 1)
    assert choose(pictures, "test", {}, own) == own["test"]
    assert choose(pictures, "all", {}, own) == pictures


def test_with_manifests_only_what_is_on_that_side_of_all(pictures):
    manifests = {name: manifest_of(split_marked(pictures, seed), seed) for name, seed in (("a", 1), ("b", 2))}
    tests = [{one.sha256 for one in manifest.of("test")} for manifest in manifests.values()]
    wanted = set.intersection(*tests)
    if wanted:
        assert {one.sha256 for one in choose(pictures, "test", manifests, {})} == wanted
    assert {one.sha256 for one in choose(pictures, "test", {"a": manifests["a"]}, {})} == tests[0]


def test_no_picture_left_is_told(pictures):
    other = manifest_of({"train": pictures, "val": (), "test": ()}, 1)
    with pytest.raises(StationError, match="no picture is on side test of run"):
        choose(pictures, "test", {"run": other}, {})


def test_a_model_is_not_measured_on_what_it_learnt(pictures):
    own = split_marked(pictures, 1)
    manifest = manifest_of(own, 1)
    models = {"finder": manifest.sha256(), "classifier": "of other pictures"}
    assert refuse_learnt(models, own["test"], {"run": manifest}) == ["classifier"]
    with pytest.raises(StationError, match=r"finder has learnt from 1 of these .*split of run"):
        refuse_learnt(models, (*own["test"], own["train"][0]), {"run": manifest})


def test_a_run_is_named_by_its_folder_or_its_manifest(pictures, tmp_path):
    manifest = manifest_of(split_marked(pictures, 1), 1)
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    assert list(read_run_manifests([tmp_path]).values()) == [manifest]
    assert list(read_run_manifests([tmp_path / "manifest.json"]).values()) == [manifest]
    with pytest.raises(StationError, match="not a split manifest"):
        read_run_manifests([tmp_path / "elsewhere"])
