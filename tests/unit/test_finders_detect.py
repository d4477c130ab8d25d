"""From drawn pictures with boxes to a measured detector: training, going on after a kill, export, refusals."""

import json
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from engines.frame_onnx import FrameOnnxEngine, read_finder_card
from shadowline.errors import ConfigError, StationError
from tests.drawn_marks import MARKS, draw_marked, write_marked
from training.command import app
from training.data import read_manifest
from training.finders.detect import fit_detector
from training.finders.detect_recipe import DetectRecipe
from training.machine import Machine
from training.recipe import make_table

TINY = [
    "marks.pictures=pictures", "marks.yolo=yolo", "network=test_efficientnet", "weights=none", "input_px=[96, 96]",
    "width=16", "depth=1", "batch=8", "learning_rate=4e-3", "trunk_rate=1.0", "average=0.9", "augment.mosaic=0.1",
    "augment.light=0.2", "augment.zoom=[0.9, 1.1]", "augment.stretch=1.0", "fractions=[0.6, 0.2, 0.2]",
]  # fmt: skip
SHORT = [*TINY, "epochs=2", "measure_every=1"]
ONE = Machine(accelerator="cpu", threads=1)
QUIET = Console(quiet=True)


def recipe(*settings):
    return make_table(DetectRecipe, None, settings)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def options(*settings):
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_marked(tmp_path_factory.mktemp("marked") / "data", 30)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run folder that `station train detect` left, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    result = run("detect", data, *options(*SHORT), "--run", folder, "--threads", 1, "--accelerator", "cpu", "--json")
    return folder, json.loads(result.stdout)


def test_one_command_leaves_a_finder_its_report_and_what_made_them(trained, data):
    folder, summary = trained
    assert {path.name for path in folder.iterdir()} == {
        "recipe.json", "manifest.json", "metrics.jsonl", "network.pt", "finder.onnx", "finder-fp32.onnx", "report",
        "tensorboard",
    }  # fmt: skip
    assert summary["finder"] == str(folder / "finder.onnx")
    assert {"index.html", "figures.json", "misses.png", "marks.png", "curves-dark.png"} <= {
        path.name for path in (folder / "report").iterdir()
    }
    card = read_finder_card(folder / "finder.onnx")
    assert (card.kind, card.labels, card.input_px, card.precision) == (
        "detector",
        tuple(sorted(MARKS)),
        (96, 96),
        "int8",
    )
    assert card.name == "data"
    assert card.data_sha256 == read_manifest(folder / "manifest.json").sha256()
    assert set(card.metrics) == {"val", "test"}
    assert [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == [0, 1]


def test_the_finder_file_runs_where_the_station_runs_it(trained):
    folder, _ = trained
    pictures = np.stack([draw_marked(900 + n)[0] for n in range(3)])[:, None]
    with FrameOnnxEngine(folder / "finder.onnx") as engine:
        found = engine.run(pictures)
    assert found["boxes"].shape == (3, 100, 4)
    assert (np.diff(found["scores"], axis=1) <= 0).all()
    assert found["boxes"].min() >= 0
    assert found["boxes"].max() <= 96
    assert set(np.unique(found["labels"])) <= {0, 1}


def test_it_is_written_again_with_other_views_and_precision(trained, data, tmp_path):
    folder, _ = trained
    out = tmp_path / "four.onnx"
    shown = run("export-detector", folder, "--data", data, "--out", out, "--precision", "fp32", "--views", 4)
    assert f"finder  {out}" in shown.stdout
    card = read_finder_card(out)
    assert (card.precision, card.made_from) == ("fp32", "")
    assert card.config_sha256 == read_finder_card(folder / "finder.onnx").config_sha256


KILLED = """
import os, signal, sys
from pathlib import Path
from rich.console import Console
from training.finders.detect import fit_detector
from training.finders.detect_recipe import DetectRecipe
from training.machine import Machine
from training.recipe import make_table
class Killer:
    def write(self, text):
        if "epoch 2 of" in text:
            os.kill(os.getpid(), signal.SIGKILL)
    def flush(self): pass
made = make_table(DetectRecipe, None, {settings!r})
fit_detector(made, Path({data!r}), Path({run!r}), Machine(accelerator="cpu", threads=1), console=Console(file=Killer()))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(data, tmp_path):
    settings = [*SHORT, "epochs=3"]
    code = KILLED.format(settings=settings, data=str(data), run=str(tmp_path / "killed"))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=110, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.raises(StationError, match="holds a run already: go on with --resume"):
        fit_detector(recipe(*settings), data, tmp_path / "killed", ONE, console=QUIET)
    with pytest.raises(StationError, match="not finished: go on with --resume"):
        run("export-detector", tmp_path / "killed", "--data", data, "--out", tmp_path / "none.onnx")
    resumed = fit_detector(recipe(), data, tmp_path / "killed", ONE, resume=True, console=QUIET)
    whole = fit_detector(recipe(*settings), data, tmp_path / "whole", ONE, console=QUIET)
    one, other = (torch.load(made.paths.network, weights_only=True) for made in (resumed, whole))
    for name, tensor in one.items():
        assert torch.allclose(tensor.float(), other[name].float(), atol=1e-5), name


def test_few_pictures_and_all_pictures_are_settings(data, tmp_path):
    few = fit_detector(recipe(*SHORT, "train_pictures=5", "epochs=1"), data, tmp_path / "few", ONE, console=QUIET)
    assert len(few.pictures.learnt(few.recipe)) == 5
    everything = few.recipe.model_copy(
        update={"train_pictures": None, "learn_all": True, "threshold": 0.3, "nms_iou": 0.5}
    )
    assert len(few.pictures.learnt(everything)) == sum(len(few.pictures.sides[side]) for side in ("train", "val"))


def test_a_detector_goes_on_from_an_earlier_one(trained, data, tmp_path):
    folder, _ = trained
    still = ["epochs=1", "learning_rate=1e-12", "average=0", "weight_decay=0"]
    made = fit_detector(
        recipe(*SHORT, *still, f"start={folder / 'network.pt'}"), data, tmp_path / "on", ONE, console=QUIET
    )
    before, after = (torch.load(path / "network.pt", weights_only=True) for path in (folder, made.paths.folder))
    weights = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in weights)


def refused(data, tmp_path, *settings):
    with pytest.raises(StationError) as fault:
        fit_detector(recipe(*SHORT, *settings), data, tmp_path / "run", ONE, console=QUIET)
    assert not (tmp_path / "run").exists()
    return str(fault.value)


def test_pictures_that_are_larger_than_the_input_are_refused_with_the_way_out(data, tmp_path):
    assert "at scale [0.5, 0.5]: raise input_px, or scale to [1, 1]" in refused(data, tmp_path, "scale=[0.5, 0.5]")


def test_pictures_without_a_box_are_refused(tmp_path):
    write_marked(tmp_path / "data", 12)
    for text in (tmp_path / "data" / "yolo").glob("[0-9]*.txt"):
        text.write_text("")
    assert "no box is marked in any picture" in refused(tmp_path / "data", tmp_path)


def test_a_changed_picture_stops_a_resumed_run(trained, tmp_path, data):
    folder, _ = trained
    for path in [*(data / "pictures").iterdir(), *(data / "yolo").iterdir()]:
        copy = tmp_path / "data" / path.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    cv2.imwrite(str(tmp_path / "data" / "pictures" / "7.png"), draw_marked(5000)[0])
    with pytest.raises(StationError, match=r"not the pictures of .*: 7.png is changed"):
        fit_detector(recipe(), tmp_path / "data", folder, ONE, resume=True, console=QUIET)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--resume"], "--resume needs the --run"),
        (["--views", "3"], "expected 1, 2 or 4"),
        (["--set", "candidates=0"], "candidates"),
    ],
)
def test_the_command_refuses_before_it_reads_pictures(arguments, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        run("detect", tmp_path, *arguments)


def test_a_folder_that_is_no_detectors_run_is_refused(tmp_path, data):
    with pytest.raises(StationError, match="not a run folder of this kind of finder"):
        run("export-detector", tmp_path, "--data", data, "--out", tmp_path / "x.onnx")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_detector_learns_to_find_what_is_drawn(tmp_path):
    data = write_marked(tmp_path / "data", 80)
    settings = [*TINY, "width=32", "epochs=20", "augment.mosaic=0", "average=0.95"]
    made = run("detect", data, *options(*settings), "--run", tmp_path / "run", "--threads", 1, "--accelerator", "cpu")
    assert "threshold" in made.stdout
    for name in ("finder.onnx", "finder-fp32.onnx"):
        card = read_finder_card(tmp_path / "run" / name)
        assert card.metrics["test"]["map50"] > 0.7
        assert card.metrics["test"]["recall_30"] > 0.7
        assert card.metrics["test"]["regions"] < 4
