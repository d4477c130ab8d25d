"""From drawn defect-free pictures to a measured anomaly map: training, going on after a stop, export, refusals."""

import json

import cv2
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from engines.frame_onnx import FrameOnnxEngine, read_finder_card
from shadowline.errors import ConfigError, StationError
from station.config import AnomalyConfig
from station.regions import FrameEngines, open_finder
from training.command import app
from training.finders.anomaly import fit_anomaly
from training.finders.anomaly_recipe import AnomalyRecipe
from training.finders.heat_network import open_heat_network
from training.machine import Machine
from training.recipe import make_table

TINY = [
    "network=small", "input_px=[64, 64]", "batch=4", "epochs=2", "measure_every=1", "average=0.5",
    "painted_px=[6, 40]", "fractions=[0.5, 0.25, 0.25]",
]  # fmt: skip
ONE = Machine(accelerator="cpu", threads=1)
QUIET = Console(quiet=True)


def surface(seed):
    rng = np.random.default_rng(seed)
    stripes = 20 * np.sin(np.arange(72) / rng.uniform(2, 6))
    return (130 + stripes + rng.normal(0, 6, (56, 72))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixteen defect-free pictures, and four in which a disc is masked."""
    root = tmp_path_factory.mktemp("surfaces")
    for folder in ("pictures/good", "pictures/disc", "masks/disc"):
        (root / folder).mkdir(parents=True)
    for seed in range(16):
        cv2.imwrite(str(root / "pictures" / "good" / f"{seed}.png"), surface(seed))
    for seed in range(4):
        picture, mask = surface(100 + seed), np.zeros((56, 72), np.uint8)
        for image, level in ((picture, 20), (mask, 255)):
            cv2.circle(image, (36, 28), 10, level, -1)
        cv2.imwrite(str(root / "pictures" / "disc" / f"{seed}.png"), picture)
        cv2.imwrite(str(root / "masks" / "disc" / f"{seed}.png"), mask)
    return root


def settings(*more):
    return [*TINY, "marks.pictures=pictures", "marks.masks=masks", *more]


def options(*more):
    return [word for setting in settings(*more) for word in ("--set", setting)]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def fit(data, folder, *more, resume=False):
    made = make_table(AnomalyRecipe, None, settings(*more))
    return fit_anomaly(made, data, folder, ONE, resume, QUIET)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run folder that `station train anomaly` left, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    result = run("anomaly", data, *options(), "--run", folder, "--threads", 1, "--accelerator", "cpu", "--json")
    return folder, json.loads(result.stdout)


def test_one_command_leaves_a_finder_and_its_report(trained):
    folder, summary = trained
    assert summary["finder"] == str(folder / "finder.onnx")
    left = {path.name for path in (folder / "report").iterdir()}
    assert {"index.html", "figures.json", "roc.png", "peaks-dark.png", "painted.png"} <= left
    assert {"misses.png", "false_alarms.png"} <= left
    card = read_finder_card(folder / "finder.onnx")
    assert (card.kind, card.labels, card.input_px, card.stride, card.precision) == ("anomaly", (), None, 8, "int8")
    assert card.threshold == 0.5
    assert card.low < card.high
    assert {"auroc_image", "auroc_pixel", "false_alarms", "recall", "false_a_good_picture"} <= set(card.metrics["test"])


def test_each_precision_has_a_range_of_its_own(trained):
    folder, _ = trained
    int8, fp32 = (read_finder_card(folder / name) for name in ("finder.onnx", "finder-fp32.onnx"))
    assert fp32.precision == "fp32"
    assert (int8.low, int8.high) != (fp32.low, fp32.high)


def test_heat_is_raw_and_of_any_size(trained):
    folder, _ = trained
    with FrameOnnxEngine(folder / "finder-fp32.onnx") as engine:
        heat = engine.run(np.stack([surface(200)[:48]])[:, None])["heat"]
    assert heat.shape == (1, 6, 9)
    assert heat.min() < 0


def test_the_station_finds_with_it_what_is_beyond_the_range_of_its_configuration(trained):
    folder, _ = trained
    card = read_finder_card(folder / "finder.onnx")
    counts = []
    for shift in (-100.0, 100.0):
        config = AnomalyConfig(
            type="anomaly", model=folder / "finder.onnx", low=card.low + shift, high=card.high + shift
        )
        with FrameEngines() as engines:
            counts.append(len(open_finder(config, None, engines).find(surface(201))))
    assert counts == [1, 0]


@pytest.mark.slow
def test_it_is_written_again_in_another_precision(trained, data, tmp_path):
    folder, _ = trained
    shown = run("export-anomaly", folder, "--data", data, "--out", tmp_path / "x.onnx", "--precision", "fp32")
    assert f"finder  {tmp_path / 'x.onnx'}" in shown.stdout


@pytest.mark.slow
def test_defect_free_pictures_alone_are_enough(data, tmp_path):
    for path in [*(data / "pictures" / "good").iterdir()]:
        (tmp_path / "pictures" / "good").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / "good" / path.name).write_bytes(path.read_bytes())
    folder = tmp_path / "run"
    result = run("anomaly", tmp_path, "--set", "marks.pictures=pictures", *[w for s in TINY for w in ("--set", s)],
                 "--run", folder, "--threads", 1, "--accelerator", "cpu", "--json")  # fmt: skip
    metrics = json.loads(result.stdout)["card"]["metrics"]
    assert set(metrics["test"]) == {"n", "n_good", "false_alarms", "false_a_good_picture"}
    assert not (folder / "report" / "misses.png").exists()
    assert (folder / "report" / "false_alarms.png").exists()


def test_a_run_is_not_begun_twice_and_a_finished_one_stays(trained, data):
    folder, _ = trained
    with pytest.raises(StationError, match="holds a run already"):
        fit(data, folder)
    before = (folder / "network.pt").stat().st_mtime_ns
    assert fit(data, folder, resume=True).is_finished
    assert (folder / "network.pt").stat().st_mtime_ns == before


def test_an_unfinished_run_is_not_exported(data, tmp_path, monkeypatch):
    monkeypatch.setattr("training.finders.anomaly.learn", lambda *_, **__: None)
    fit(data, tmp_path / "run")
    with pytest.raises(StationError, match="not finished: go on with --resume"):
        run("export-anomaly", tmp_path / "run", "--data", data, "--out", tmp_path / "x.onnx")


def test_with_all_blocks_frozen_only_pyramid_and_head_learn():
    made = make_table(AnomalyRecipe, None, settings("network=efficientnet_lite0", "weights=none", "frozen=7"))
    network, _ = open_heat_network(made, 1)
    learnt = {name.removeprefix("body.").split(".")[0] for name, one in network.named_parameters() if one.requires_grad}
    assert learnt == {"context", "lateral", "head"}


def test_without_defect_free_pictures_it_says_where_to_name_them(data, tmp_path):
    with pytest.raises(
        StationError, match=r"no defect-free picture on the side train: name their folders in \[marks\]"
    ):
        fit(data, tmp_path / "run", 'marks.good=["none"]')


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("painted_px=[50, 5]", "the smallest size is above the largest"),
        ('painted=["smudge"]', "painted"),
        ("false_alarms=0", "false_alarms"),
        ("maps=label", "maps"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, words):
    with pytest.raises(ConfigError, match=words):
        make_table(AnomalyRecipe, None, settings(setting))
