"""`station train regions` from pictures to a finder file that the station runs."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from engines import read_finder_card
from shadowline.errors import ConfigError, StationError
from station.config import HeatmapConfig
from station.regions import FrameEngines, open_finder
from tests.drawn_marks import draw_marked, write_marked
from training.command.app import app

SETTINGS = (
    "network=small",
    "marks.pictures=pictures",
    "marks.yolo=yolo",
    "input_px=[96, 96]",
    "fractions=[0.7, 0.15, 0.15]",
    "epochs=24",
    "measure_every=8",
    "average=0.9",
    "learning_rate=4e-3",
    "augment.mosaic=0",
    "augment.light=0.2",
)


def train(data: Path, *words: str | Path) -> str:
    """Run `station train regions` and return what it prints; raises what it fails with."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ("regions", data, *settings, "--threads", "1", "--accelerator", "cpu", *words)
    done = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_heat_map_learns_to_find_what_is_drawn_and_the_station_runs_it(tmp_path: Path) -> None:
    data, run = write_marked(tmp_path / "data", 64), tmp_path / "run"
    told = json.loads(train(data, "--run", run, "--json"))
    assert told["card"]["metrics"]["test"]["recall"] >= 0.9
    assert told["card"]["metrics"]["test"]["regions"] <= 4
    assert read_finder_card(run / "finder-fp32.onnx").precision == "fp32"
    assert read_finder_card(run / "finder.onnx").precision == "int8"
    page = (run / "report" / "index.html").read_text()
    assert "Defects met against false regions" in page
    assert (run / "report" / "marks.png").exists()

    picture, marks = draw_marked(1000)
    wide = np.full((200, 330), 140, np.uint8)
    wide[90:186, 210:306] = picture
    with FrameEngines() as engines:
        config = HeatmapConfig(type="heatmap", model=run / "finder.onnx")
        found = open_finder(config, None, engines).find(wide)
    middles = [(x + w / 2 + 210, y + h / 2 + 90) for _, (x, y, w, h) in marks]
    assert all(any(x < u < x + w and y < v < y + h for x, y, w, h in found.box.tolist()) for u, v in middles)

    before = (run / "network.pt").read_bytes()
    assert "finder.onnx" in train(data, "--run", run, "--resume")
    assert (run / "network.pt").read_bytes() == before
    cv2.imwrite(str(data / "pictures" / "0.png"), np.zeros((96, 96), np.uint8))
    with pytest.raises(StationError, match=r"not the pictures of .*: 0.png is changed"):
        train(data, "--run", run, "--resume")


def test_what_cant_be_learnt_from_is_refused_in_one_line(tmp_path: Path) -> None:
    data = write_marked(tmp_path / "data", 6)
    for file in (data / "yolo").glob("[0-9]*.txt"):
        file.write_text("")
    with pytest.raises(StationError, match="nothing is marked in any picture of the side train"):
        train(data, "--run", tmp_path / "run")
    with pytest.raises(ConfigError, match="network small starts from nothing"):
        train(data, "--run", tmp_path / "run2", "--set", "frozen=2")
    with pytest.raises(StationError, match="no crops of `station archive export`"):
        train(data, "--run", tmp_path / "run3", "--from-reviewed", tmp_path)
    with pytest.raises(ConfigError, match="--resume needs the --run"):
        train(data, "--resume")
