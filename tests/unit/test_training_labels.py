"""Fewer labels: unlabelled pictures compared, grouped, given labels, ranked; and classes that were never shown."""

import csv
import json

import cv2
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from shadowline.errors import ConfigError, StationError
from tests.drawn import KINDS, draw, write_pictures
from training.command import app
from training.data import read_tree
from training.fit import fit
from training.leave_out import leave_out
from training.machine import Machine
from training.networks import Ensemble
from training.pool import open_embedder, read_pool
from training.recipe import make_recipe

QUICK = ["crop.size_px=32", "crop.context=1.0", "crop.min_side_px=32", "network=compact", "width=0.5"]
QUICK += ["epochs=6", "epoch_crops=256", "fractions=[0.6, 0.2, 0.2]"]
ONE = Machine(accelerator="cpu", threads=1)
QUIET = Console(quiet=True)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A small run, and the pictures that it was fitted on."""
    root = tmp_path_factory.mktemp("labels")
    pictures = write_pictures(root / "pictures", 24)
    fit(make_recipe(None, QUICK), pictures, root / "run", ONE, console=QUIET)
    return root / "run", pictures


@pytest.fixture
def unlabelled(tmp_path):
    """Pictures of every kind in one folder, with one that can't be read."""
    folder = tmp_path / "unlabelled" / "deep"
    folder.mkdir(parents=True)
    for kind in KINDS:
        for seed in range(300, 312):
            cv2.imwrite(str(folder / f"{kind}_{seed}.png"), draw(kind, seed))
    (folder / "broken.png").write_bytes(b"broken")
    return folder.parent


def test_a_pool_is_read_at_any_depth_and_tells_what_it_left_out(unlabelled):
    pool = read_pool(unlabelled)
    assert len(pool.paths) == len(pool.images) == 3 * 12
    assert [path.rpartition("/")[2] for path in pool.skipped] == ["broken.png"]
    with pytest.raises(StationError, match="no readable picture below it"):
        read_pool(unlabelled / "deep" / "none")


def test_without_trained_weights_pictures_are_not_compared(monkeypatch):
    monkeypatch.setattr("training.pool.packaged_weights", lambda: None)
    for recipe in (make_recipe(None), make_recipe(None, network="resnet18")):
        with pytest.raises(StationError, match="comparing pictures needs trained weights"):
            open_embedder(recipe, None)


def test_the_packaged_backbone_compares_by_its_middle_layers():
    network = open_embedder(make_recipe(None), None)
    assert isinstance(network, Ensemble)
    assert len(network.members) == 2


def test_clusters_are_folders_to_be_named(fitted, unlabelled, tmp_path):
    folder, _ = fitted
    out = tmp_path / "clusters"
    result = run("cluster", unlabelled, out, "--count", 3, "--run", folder)
    assert "broken.png" in result.stderr
    assert (out / "overview.png").exists()
    named = [{path.name.split("-")[1].split("_")[0] for path in one.iterdir()} for one in (out / "pictures").iterdir()]
    assert sorted(named, key=sorted) == [{"blob"}, {"dots"}, {"stripes"}]


def test_a_few_labels_grow_into_a_training_set(fitted, unlabelled, tmp_path):
    folder, _ = fitted
    labelled = write_pictures(tmp_path / "labelled", 2, first=700)
    run("grow", labelled, unlabelled, tmp_path / "grown", "--run", folder, "--share", 0.75)
    tree = read_tree(tmp_path / "grown")
    right = [label == path.rpartition("-")[2].split("_")[0].rpartition("/")[2] for path, label in _both(tree)]
    assert len(right) == 6 + 27
    assert np.mean(right) >= 0.9
    assert len(list((tmp_path / "grown" / ".unsure").iterdir())) == 9
    with (tmp_path / "grown" / "grown.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {(tmp_path / "grown" / row["picture"]).is_file() for row in rows} == {True}
    with pytest.raises(StationError, match="exists already"):
        run("grow", labelled, unlabelled, tmp_path / "grown", "--run", folder)


def _both(tree):
    return zip(tree.paths, tree.labels, strict=True)


def test_what_to_label_next_is_named_and_drawn(fitted, unlabelled, tmp_path):
    folder, pictures = fitted
    result = run(
        "rank", folder, unlabelled, "--data", pictures, "--count", 5, "--sheet", tmp_path / "next.png", "--json"
    )
    found = json.loads(result.stdout)
    assert len({one["picture"] for one in found}) == 5
    assert {one["label"] for one in found} <= set(KINDS)
    assert cv2.imread(str(tmp_path / "next.png")) is not None


def test_network_and_weights_go_together(unlabelled, tmp_path):
    with pytest.raises(ConfigError, match="--network and --weights go together"):
        run("cluster", unlabelled, tmp_path / "out", "--network", "resnet18")


def test_a_class_that_was_left_out_is_told_and_measured_once(tmp_path):
    data = write_pictures(tmp_path / "pictures", 20)
    recipe = make_recipe(None, QUICK)
    found = leave_out(recipe, data, tmp_path / "left-out", ONE, QUIET)
    assert [one.label for one in found] == sorted(KINDS)
    assert all(0 <= part <= 1 for one in found for part in (one.auroc, one.caught, one.false_unknown, one.accuracy))
    assert max(one.auroc for one in found) > 0.7
    before = (tmp_path / "left-out" / "blob" / "left-out.json").stat().st_mtime_ns
    assert leave_out(recipe, data, tmp_path / "left-out", ONE, QUIET) == found
    assert (tmp_path / "left-out" / "blob" / "left-out.json").stat().st_mtime_ns == before
    two = write_pictures(tmp_path / "two", 6, KINDS[:2])
    with pytest.raises(StationError, match="leaving one out needs three"):
        leave_out(recipe, two, tmp_path / "none", ONE, QUIET)


def test_pictures_that_were_learnt_from_are_no_test(fitted):
    folder, pictures = fitted
    fit_model(folder, pictures)
    with pytest.raises(StationError, match="were learnt from"):
        run("evaluate", "--model", folder / "model.onnx", "--data", pictures, "--learnt", pictures)


def fit_model(folder, pictures):
    run("export", folder, "--data", pictures, "--out", folder / "model.onnx", "--precision", "fp32")
