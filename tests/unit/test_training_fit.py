"""From drawn pictures to a measured model file: fitting, going on after a kill, joining, searching, refusals."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from engines import OnnxRuntimeEngine, read_card
from shadowline.errors import ConfigError, StationError
from tests.drawn import KINDS, draw, write_pictures
from training.command import app
from training.data import read_manifest
from training.ensemble import choose_members
from training.export import export
from training.fit import fit, fit_tree, open_tree
from training.fitting import class_weights, loss_of
from training.machine import Machine
from training.recipe import make_recipe
from training.runs import load_run
from training.tune import open_study, tune

CROP = ["crop.size_px=32", "crop.context=1.0", "crop.min_side_px=32"]
QUICK = [*CROP, "network=compact", "width=0.5", "epochs=5", "epoch_crops=256", "fractions=[0.6, 0.2, 0.2]"]
ONE = Machine(accelerator="cpu", threads=1)
QUIET = Console(quiet=True)


def recipe(*settings, **known):
    return make_recipe(None, [*QUICK, *settings], **known)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def options(*settings):
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("drawn") / "pictures", 24)


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """A run folder that `station train fit` left, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    result = run("fit", pictures, *options(*QUICK), "--run", folder, "--threads", 1, "--accelerator", "cpu", "--json")
    return folder, json.loads(result.stdout)


def test_one_command_leaves_a_model_its_report_and_what_made_them(trained, tmp_path):
    folder, summary = trained
    assert {path.name for path in folder.iterdir()} == {
        "recipe.json", "manifest.json", "metrics.jsonl", "network.pt", "model.onnx", "model-fp32.onnx", "report",
        "tensorboard",
    }  # fmt: skip
    assert summary["model"] == str(folder / "model.onnx")
    assert (folder / "report" / "index.html").stat().st_size > 10_000
    assert [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == list(range(5))
    card = read_card(folder / "model.onnx")
    assert (card.precision, card.labels) == ("int8", tuple(sorted(KINDS)))
    assert card.made_from == hashlib.sha256((folder / "model-fp32.onnx").read_bytes()).hexdigest()
    assert card.data_sha256 == read_manifest(folder / "manifest.json").sha256()
    assert card.metrics["test/whole"]["accuracy"] >= 0.9
    assert card.metrics["val/against_fp32"]["agreement"] >= 0.9


def test_the_model_names_pictures_that_it_has_not_seen(trained, tmp_path):
    folder, _ = trained
    fresh = write_pictures(tmp_path / "fresh", 10, first=500)
    scores = json.loads(run("evaluate", "--model", folder / "model.onnx", "--data", fresh, "--json").stdout)
    assert (scores["n"], scores["accuracy"] >= 0.9) == (30, True)
    one = json.loads(run("predict", folder / "model.onnx", fresh / "blob" / "blob_500.png", "--json").stdout)[0]
    assert one["likeliest"] == "blob"
    assert one["confidence"] == pytest.approx(max(one["probabilities"].values()))
    assert one["novelty_limit"] == read_card(folder / "model.onnx").novelty_limit
    assert "blob" in run("predict", folder / "model.onnx", fresh / "blob" / "blob_500.png").stdout


def test_novelty_tells_a_picture_of_another_kind(trained):
    folder, _ = trained
    boards = [np.random.default_rng(n).integers(0, 2, (4, 4)) * 255 for n in range(9)]
    strange = np.stack([np.kron(board, np.ones((8, 8))) for board in boards])
    known = np.stack([cv2.resize(draw(kind, 900 + n), (32, 32)) for n in range(3) for kind in KINDS])
    with OnnxRuntimeEngine(folder / "model.onnx") as engine:
        limit = engine.card.novelty_limit
        novel = engine.classify(strange[:, None].astype(np.uint8)).novelty
        common = engine.classify(known[:, None]).novelty
    assert np.median(novel) > np.median(common)
    assert (common <= limit).mean() > 0.5


def test_a_sheet_shows_where_the_answers_come_from(trained, pictures, tmp_path):
    folder, _ = trained
    out = tmp_path / "sheets" / "why.png"
    run("explain", folder, pictures / "blob" / "blob_1.png", pictures / "dots" / "dots_1.png", "--out", out)
    assert cv2.imread(str(out)).std() > 10


def test_the_same_seed_gives_the_same_network_and_another_seed_another(pictures, tmp_path):
    short = ["epochs=1", "epoch_crops=64"]
    nets = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = fit(recipe(*short, f"seed={seed}"), pictures, tmp_path / name, ONE, console=QUIET)
        nets.append(torch.cat([p.ravel() for p in made.network.parameters()]))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


KILLED = """
import os, signal, sys
from pathlib import Path
from training.fit import fit_tree, open_tree
from training.machine import Machine
from training.recipe import make_recipe
made = make_recipe(None, {settings!r})
def stop(row):
    if row["epoch"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
tree, manifest = open_tree(made, Path({data!r}))
fit_tree(made, tree, manifest, Path({data!r}), Path({run!r}), Machine(accelerator="cpu", threads=1), also=stop)
"""


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(pictures, tmp_path):
    settings = [*QUICK, "epochs=4", "epoch_crops=64", "mixup=0.2", "precision=fp32"]
    code = KILLED.format(settings=settings, data=str(pictures), run=str(tmp_path / "killed"))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=110, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.raises(StationError, match=r"not finished: go on with .*--resume"):
        load_run(tmp_path / "killed")
    with pytest.raises(StationError, match="holds a run already: go on with --resume"):
        fit(make_recipe(None, settings), pictures, tmp_path / "killed", ONE, console=QUIET)
    resumed = fit(make_recipe(None), pictures, tmp_path / "killed", ONE, resume=True, console=QUIET)
    whole = fit(make_recipe(None, settings), pictures, tmp_path / "whole", ONE, console=QUIET)
    for one, other in zip(resumed.network.state_dict().values(), whole.network.state_dict().values(), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-6)
    assert not (tmp_path / "killed" / "checkpoints").exists()


def test_a_run_that_is_told_to_stop_says_so_and_goes_on_behind_its_last_epoch_not_its_best(pictures, tmp_path):
    def stop(row):
        if row["epoch"] == 2:
            signal.raise_signal(signal.SIGTERM)

    made = recipe("epochs=4", "epoch_crops=64", "patience=4", "network=original", "learning_rate=1e-30")
    tree, manifest = open_tree(made, pictures)
    with pytest.raises(StationError, match="stopped by SIGTERM, not finished: go on with --resume"):
        fit_tree(made, tree, manifest, pictures, tmp_path / "run", ONE, QUIET, stop)
    fit(made, pictures, tmp_path / "run", ONE, resume=True, console=QUIET)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len({line["val_loss"] for line in lines}) == 1  # it learns nothing: the first epoch stays the best
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]


def test_a_full_disk_is_told_and_leaves_what_was_complete(pictures, tmp_path, monkeypatch):
    import lightning.fabric.plugins.io.torch_io as torch_io

    save = torch_io._atomic_save
    calls = []

    def fill(checkpoint, filepath):
        calls.append(filepath)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(checkpoint, filepath)

    monkeypatch.setattr(torch_io, "_atomic_save", fill)
    made = recipe("epochs=3", "epoch_crops=64")
    with pytest.raises(StationError, match="No space left on device; what was complete before is unharmed"):
        fit(made, pictures, tmp_path / "run", ONE, console=QUIET)
    assert not (tmp_path / "run" / "network.pt").exists()
    monkeypatch.undo()
    assert fit(made, pictures, tmp_path / "run", ONE, resume=True, console=QUIET).recipe.epochs == 3


def test_pictures_that_changed_since_the_fit_are_refused(trained, pictures, tmp_path):
    folder, _ = trained
    changed = tmp_path / "pictures"
    shutil.copytree(pictures, changed)
    cv2.imwrite(str(changed / "blob" / "blob_3.png"), draw("blob", 4321))
    with pytest.raises(StationError, match=r"blob/blob_3\.png is changed"):
        export(load_run(folder), changed, tmp_path / "out.onnx")
    (changed / "blob" / "blob_3.png").unlink()
    with pytest.raises(StationError, match=r"blob/blob_3\.png is gone"):
        export(load_run(folder), changed, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_a_damaged_run_is_refused(trained, tmp_path):
    folder, _ = trained
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "network.pt").write_bytes((copy / "network.pt").read_bytes()[:1000])
    with pytest.raises(StationError, match=r"network\.pt: damaged"):
        load_run(copy)
    (copy / "recipe.json").write_text("{}x")
    with pytest.raises(StationError, match="not a run folder"):
        load_run(copy)


@pytest.mark.parametrize(("head", "kinds"), [("sigmoid", KINDS[:2]), ("multi_label", KINDS)])
def test_other_heads_learn_and_serve(tmp_path, head, kinds):
    data = write_pictures(tmp_path / "pictures", 20, kinds)
    made = fit(recipe(f"head={head}", "epochs=10"), data, tmp_path / "run", ONE, console=QUIET)
    card = export(made, data, tmp_path / "model.onnx").card
    assert card.head == head
    assert card.metrics["test/whole"]["macro_f1"] >= 0.8


def test_a_student_learns_from_a_teachers_model_file(trained, pictures, tmp_path):
    folder, _ = trained
    student = recipe("seed=5", "epochs=6", "teacher_share=1.0", teacher=folder / "model.onnx")
    made = fit(student, pictures, tmp_path / "student", ONE, console=QUIET)
    exported = export(made, pictures, tmp_path / "student.onnx", "fp16")
    assert exported.card.metrics["test/whole"]["accuracy"] >= 0.8
    with pytest.raises(StationError, match="labels and crops must be the student's, not blob, dots"):
        fit(
            student.model_copy(update={"crop": student.crop.model_copy(update={"size_px": 40})}),
            pictures,
            tmp_path / "s2",
        )


def test_an_ensemble_is_one_graph_and_no_worse(trained, pictures, tmp_path):
    folder, _ = trained
    second = ["network=original", "scale=unit", "learning_rate=0.002", "seed=2"]
    fit(recipe(*second), pictures, tmp_path / "second", ONE, console=QUIET)
    members = [folder, tmp_path / "second"]
    result = run("ensemble", pictures, *members, "--run", tmp_path / "both", "--precision", "fp32", "--json")
    joined, alone = json.loads(result.stdout)["card"]["metrics"], read_card(folder / "model.onnx").metrics
    assert joined["test/whole"]["accuracy"] >= alone["test/whole"]["accuracy"]
    fit(recipe("split_seed=7", "epochs=1"), pictures, tmp_path / "other", ONE, console=QUIET)
    with pytest.raises(StationError, match="its split is not that of"):
        run("ensemble", pictures, folder, tmp_path / "other", "--run", tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


def test_members_are_taken_while_they_help():
    rng = np.random.default_rng(0)
    truth = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 200)]
    noisy = [np.clip(truth * 0.5 + rng.random((200, 3)) * 0.6, 0.01, 0.99).astype(np.float32) for _ in range(3)]
    useless = np.full((200, 3), 1 / 3, np.float32)
    chosen = choose_members([useless, *noisy], truth, 4)
    assert set(chosen.members) == {1, 2, 3}
    assert list(chosen.losses) == sorted(chosen.losses, reverse=True)
    assert choose_members([useless, *noisy], truth, 1).members[0] != 0


def test_a_search_goes_on_from_its_database_and_returns_the_best(pictures, tmp_path):
    short = recipe("epochs=1", "epoch_crops=64")
    space = {"learning_rate": (1e-5, 1e-2), "width": (0.25, 0.5)}
    tune(short, pictures, tmp_path / "study", space, 1, ONE, QUIET)
    best = tune(short, pictures, tmp_path / "study", space, 2, ONE, QUIET)
    with open_study(tmp_path / "study" / "study.db", short.name) as study:
        assert len(study.trials) == 3
        assert best.learning_rate == pytest.approx(study.best_params["learning_rate"])
        assert best.width == study.best_params["width"]
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["study.db"]


def test_a_rare_class_counts_more():
    weights = class_weights(np.array([0] * 90 + [1] * 10), 2, "balanced")
    assert weights.tolist() == pytest.approx([100 / 180, 5])
    outputs, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    for settings in ({}, {"loss": "mse"}, {"head": "multi_label"}):
        made = make_recipe(None, **settings)
        rare = loss_of(outputs, targets, made, torch.tensor([1.0, 5.0]), 0.0)
        assert rare >= loss_of(outputs, targets, made, torch.ones(2), 0.0)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["fit", "{pictures}", "--resume"], ConfigError, "--resume needs the --run"),
        (["fit", "{pictures}", "--accelerator", "tpu"], ConfigError, "expected auto, cpu or gpu"),
        (
            ["fit", "{pictures}", "--network", "resnet18", "--weights", "{pictures}"],
            StationError,
            "not a file of weights",
        ),
        (["fit", "{empty}"], StationError, "no class folders"),
        (["fit", "{pictures}", "--set", "costs.rust=5"], StationError, "costs: rust is no class"),
        (
            [
                "fit",
                "{pictures}",
                "--set",
                "crop.size_px=32",
                "--set",
                "crop.min_side_px=32",
                "--set",
                "crop.context=1.0",
                "--set",
                "split_seed=9",
                "--teacher",
                "{model}",
            ],
            StationError,
            "learnt from another split",
        ),
        (["fit", "{one}"], StationError, "one class, blob: there is nothing to tell it from"),
        (["fit", "{pictures}", "--devices", "2"], ConfigError, "name it with --run"),
        (["predict", "{model}", "{empty}/none.png"], StationError, "not a readable picture"),
        (["compare", "{empty}"], StationError, "report"),
        (["networks", "zzz"], StationError, "no network has 'zzz' in its name"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(trained, pictures, tmp_path, words, error, said):
    folder, _ = trained
    (tmp_path / "empty").mkdir()
    extra = ["--run", tmp_path / "run"] if words[0] == "fit" else []
    write_pictures(tmp_path / "one", 4, KINDS[:1])
    places = {
        "one": tmp_path / "one",
        "pictures": pictures,
        "empty": tmp_path / "empty",
        "model": folder / "model.onnx",
    }
    with pytest.raises(error, match=said) as caught:
        run(*(word.format(**places) for word in words), *([] if {"--resume", "--devices"} & set(words) else extra))
    assert "\n" not in str(caught.value)


def test_runs_are_ranked(trained):
    folder, _ = trained
    assert str(folder.name) in run("compare", folder, "--out", folder.parent / "compare").stdout


def test_networks_are_listed():
    names = run("networks", "mobilenetv2").stdout.split()
    assert "mobilenetv2_100" in names
    assert {"compact", "original"} <= set(run("networks").stdout.split())
