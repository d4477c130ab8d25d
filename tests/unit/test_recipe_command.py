"""`station recipe`, `station part` and `station job` against a control thread on fake models."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shadowline.errors import StationError
from station.command import app
from station.frame import Piece
from tests.unit.test_control import Rig, control_config

RECIPES = {"thick": {"external_id": 7, "description": "over 5 mm"}, "thin": {}}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(control_config(tmp_path, recipe=RECIPES)) as running:
        yield running


def say(rig: Rig, *words: str) -> str:
    """Return what the command prints."""
    done = CliRunner().invoke(app, [*words, "--endpoint", rig.endpoint], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_recipes_are_listed(rig: Rig) -> None:
    lines = [line.split() for line in say(rig, "recipe", "list").splitlines()]
    assert lines[0] == ["recipe", "number", "state", "model", "description"]
    assert lines[1][:3] == ["default", "0", "active"]
    assert lines[2] == ["thick", "7", "prepared", "over", "5", "mm"]
    assert lines[3] == ["thin", "prepared"]


@pytest.mark.parametrize("key", ["thick", "7"])
def test_a_recipe_is_selected_by_name_or_number(rig: Rig, key: str) -> None:
    assert json.loads(say(rig, "recipe", "prepare", key, "--json"))["active"] == "default"
    assert json.loads(say(rig, "recipe", "select", key, "--json"))["active"] == "thick"
    assert [change.recipe for change in rig.changes] == ["thick"]


def test_what_the_station_refuses_is_said(rig: Rig) -> None:
    with pytest.raises(StationError, match="no recipe 8: station recipe list"):
        say(rig, "recipe", "select", "8")
    with pytest.raises(StationError, match="recipe thick: its model is in use"):
        say(rig, "recipe", "unprepare", "thick")


def test_a_recipe_that_can_not_be_prepared_ends_with_code_1(tmp_path: Path) -> None:
    config = control_config(
        tmp_path, engine={"backend": "onnx_runtime"}, recipe={"bad": {"model": str(tmp_path / "none.onnx")}}
    )
    with Rig(config) as rig:
        done = CliRunner().invoke(app, ["recipe", "prepare", "bad", "--endpoint", rig.endpoint])
        assert done.exit_code == 1
        assert "none.onnx" in done.stderr
        assert "failed" in say(rig, "recipe", "list")


def test_a_part_and_a_job_begin_and_end(rig: Rig) -> None:
    assert say(rig, "part", "A 17") == "part A 17 begins\n"
    assert say(rig, "job", "4711") == "job 4711 begins\n"
    assert rig.pieces.now == Piece("A 17", "4711")
    assert say(rig, "part", "") == "no part\n"
    assert rig.pieces.now == Piece("", "4711")


def test_check_says_what_each_recipe_would_do(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[station]\nrecipe = "blind"\n[[camera]]\nname = "top"\ntype = "simulated"\n'
        '[recipe.blind]\nexternal_id = 7\nverdict.default.action = "accept"\n'
        '[recipe.thick]\ndescription = "plate"\nbudget_ms = 7.0\nverdict.rules.patches.action = "accept"\n'
    )
    done = CliRunner().invoke(app, ["check", "-c", str(path)], catch_exceptions=False)
    said = " ".join(done.stdout.split())
    assert "recipe blind, number 7, holds at the start: neu-compact, 20 ms, lets all pass; can be used" in said
    assert "recipe thick: neu-compact, 7 ms, lets patches pass; plate" in said
    assert "patches: accept" in said  # the plain tables are not what holds at the start
