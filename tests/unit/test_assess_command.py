"""`station evaluate`: one table, JSON, a report, drawn pictures; and what is amiss, told."""

import json

import cv2
import pytest
import typer
from typer.testing import CliRunner

from shadowline.errors import ConfigError, StationError
from tests.assessed import GOOD, SIDE_PX, config_text, write_marked
from training.assess.command import evaluate


@pytest.fixture(scope="module")
def app():
    made = typer.Typer(rich_markup_mode=None)
    made.command()(evaluate)
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_marked(tmp_path_factory.mktemp("marked"), 4)


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    return [str(config_text(folder, kind)) for kind in ("shadow", "heatmap")]


def run(app, data, configs, *more):
    where = ["--data", str(data), "--pictures", "pictures", "--masks", "masks", "--good", GOOD, "--side", "all"]
    return CliRunner().invoke(app, [*configs, *where, *more])


def test_configurations_stand_side_by_side(app, data, configs, tmp_path):
    done = run(app, data, configs, "--out", str(tmp_path / "report"), "--draw", str(tmp_path / "drawn"))
    assert done.exit_code == 0, done.output
    assert "8 pictures, 4 of them good, 4 defects marked" in done.output
    page = (tmp_path / "report" / "index.html").read_text()
    assert "shadow, heatmap" in page
    assert page.count("data:image/png") >= 2
    assert "://" not in page
    table = (tmp_path / "report" / "table.md").read_text().splitlines()
    assert table[0] == "|  | shadow | heatmap |"
    assert any(line.startswith("| mask components covered | 1.000") for line in table)
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert [one["name"] for one in figures] == ["shadow", "heatmap"]
    drawn = sorted((tmp_path / "drawn").rglob("*.jpg"))
    assert len(drawn) == 16
    assert min(cv2.imread(str(drawn[0])).shape[:2]) >= 4 * SIDE_PX - 1


def test_figures_as_json(app, data, configs):
    done = run(app, data, configs[:1], "--json")
    (one,) = json.loads(done.stdout)
    assert (one["pictures"], one["covered"]["value"], one["labels"]["spot"]["marked"]) == (8, 1.0, 4)
    assert "8 pictures" in done.stderr


def test_thresholds_are_told_apart(app, data, configs):
    done = run(app, data, configs[1:], "--json", "--threshold", "0.5", "--threshold", "0.99")
    low, high = json.loads(done.stdout)
    assert (low["name"], high["name"]) == ("heatmap @ 0.5", "heatmap @ 0.99")
    assert low["regions"] > high["regions"]


def test_a_false_alarm_is_drawn(app, data, configs, tmp_path):
    image = cv2.imread(str(data / "pictures" / "spot" / "spot_0.png"), cv2.IMREAD_GRAYSCALE)
    for name in ("pictures/fine/stain.png", "masks/fine/stain.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / name), image)
    done = run(app, tmp_path, configs[:1], "--out", str(tmp_path / "report"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report" / "false-alarms-1.png").exists()
    assert not (tmp_path / "report" / "misses-1.png").exists()


def test_what_was_learnt_is_refused(app, data, configs):
    done = run(app, data, configs[:1], "--learnt", str(data / "pictures"))
    assert isinstance(done.exception, StationError)
    assert "that were learnt from" in str(done.exception)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--boxes", "voc", "--coco", "coco.json"], "exclude each other"),
        (["--threshold", "0.5"], "no learned finder"),
        (["--recipe", "none.toml"], "not a recipe"),
    ],
)
def test_contradictions_are_refused(app, data, configs, more, words):
    done = run(app, data, configs[:1], *more)
    assert isinstance(done.exception, ConfigError)
    assert words in str(done.exception)
