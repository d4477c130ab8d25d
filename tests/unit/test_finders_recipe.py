"""Recipes of finders: settings by key, refusals, and hashes that tell them apart."""

from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from training.finders.anomaly_recipe import AnomalyRecipe
from training.finders.detect_recipe import DetectRecipe
from training.finders.heat_recipe import HeatRecipe
from training.recipe import make_table

KINDS = {"detect": DetectRecipe, "regions": HeatRecipe, "anomaly": AnomalyRecipe}
RECIPES = sorted(
    path
    for path in (Path(__file__).parents[2] / "training" / "recipes").glob("*-*.toml")
    if path.stem.rpartition("-")[2] in KINDS
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_shipped_recipes_are_valid(path):
    assert make_table(KINDS[path.stem.rpartition("-")[2]], path).name == path.stem


def recipe(*settings):
    return make_table(DetectRecipe, None, settings)


def test_settings_reach_into_tables_and_leave_the_rest():
    made = recipe("augment.mosaic=0", "marks.boxes=xml", "epochs=3")
    assert (made.augment.mosaic, made.augment.light, str(made.marks.boxes), made.epochs) == (0, 0.5, "xml", 3)


def test_the_hash_changes_with_any_setting():
    assert recipe().sha256() == recipe().sha256() != recipe("augment.turns=false").sha256()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("fractions=[0.7, 0.1, 0.1]", "do not sum to 1"),
        ("input_px=[100, 100]", "input_px.0: .* multiple of 32"),
        ("candidates=1000", "candidates: .* 300"),
        ("colour=true", "colour: Extra inputs"),
        ("kind=heatmap", "kind: .*'detector'"),
        ("learn_all=true", "learn_all leaves no side to choose on"),
    ],
)
def test_what_a_recipe_refuses_it_names(setting, words):
    with pytest.raises(ConfigError, match=words):
        recipe(setting)
