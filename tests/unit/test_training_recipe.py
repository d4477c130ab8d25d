"""Recipes: defaults, files, single settings, and what is refused."""

from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from training.networks import settle
from training.recipe import Recipe, make_recipe, read_recipe
from training.tune import parse_space, write_recipe

FINDERS = ("-detect", "-regions", "-anomaly")
EVERY = sorted((Path(__file__).parents[2] / "training" / "recipes").glob("*.toml"))
RECIPES = [path for path in EVERY if not path.stem.endswith(FINDERS)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_shipped_recipes_are_valid(path):
    recipe = read_recipe(path)
    assert settle(recipe, 100).learning_rate is not None


def test_settings_override_the_file_and_reach_into_tables(tmp_path):
    (tmp_path / "r.toml").write_text('name = "mine"\nepochs = 3\n[mix]\nwhole = 0.2\n')
    recipe = make_recipe(tmp_path / "r.toml", ["epochs=5", "mix.box=0.5", "network=original", "turns=false"])
    assert (recipe.name, recipe.epochs, recipe.network, recipe.turns) == ("mine", 5, "original", False)
    assert (recipe.mix.whole, recipe.mix.box) == (0.2, 0.5)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epochs", "expected KEY=VALUE"),
        ("epochs=0", "epochs"),
        ("epoch=3", "epoch"),
        ("name.x=1", "name is no table"),
        ("network=compact", None),
        ("fractions=[0.5, 0.5, 0.5]", "do not sum to 1"),
        ("fold=5", "fold 5 does not exist: 5 folds"),
        ("crop.size_px=8", "crop.size_px"),
    ],
)
def test_a_bad_setting_is_refused_by_name(setting, said):
    start = ["name=m", "crop.context=1.0", "crop.min_side_px=32", "crop.size_px=32"]
    if said is None:
        assert make_recipe(None, [*start, setting]).network == "compact"
        return
    with pytest.raises(ConfigError, match=said):
        make_recipe(None, [*start, setting])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["loss=mse", "head=sigmoid"], "loss mse is for head softmax"),
        (["network=compact", "weights=hub"], "starts from nothing"),
        (["head=multi_label", "mixup=0.2"], "mixup is for one label"),
        (["network=auto", "weights=hub"], "belong to a named network"),
    ],
)
def test_contradictions_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        make_recipe(None, settings)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name = [")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        read_recipe(tmp_path / "bad.toml")


def test_settling_makes_every_choice_and_is_stable():
    settled = settle(make_recipe(None, network="compact"), 100)
    assert (settled.scale, settled.input_px, settled.epoch_crops) == ("standard", settled.crop.size_px, 512)
    assert None not in (settled.learning_rate, settled.epochs, settled.patience)
    assert settle(settled, 5000) == settled


def test_auto_takes_the_packaged_backbone_where_it_is_installed(monkeypatch):
    recipe = make_recipe(None)
    monkeypatch.setattr("training.networks.packaged_weights", lambda: Path("weights.pth"))
    assert (settle(recipe, 9).network, settle(recipe, 9).weights) == ("tf_efficientnet_lite0", "package")
    monkeypatch.setattr("training.networks.packaged_weights", lambda: None)
    assert (settle(recipe, 9).network, settle(recipe, 9).weights) == ("compact", None)


def test_a_written_recipe_reads_back_the_same(tmp_path):
    recipe = make_recipe(None, ["name=a", "learning_rate=0.00123", "aliases.x=y", "mix.box=0", "pictures=some/where"])
    write_recipe(recipe, tmp_path / "r.toml")
    assert read_recipe(tmp_path / "r.toml") == recipe


def test_a_search_space_is_ranges_and_choices():
    space = parse_space(["learning_rate=1e-4..1e-2", "network=compact,original", "batch=16,32"])
    assert space == {"learning_rate": (1e-4, 1e-2), "network": ("compact", "original"), "batch": (16, 32)}
    assert set(parse_space([])) <= set(Recipe.model_fields)


@pytest.mark.parametrize("text", ["learning_rate=a..b", "speed=1..2", "epochs", "epochs="])
def test_a_bad_search_space_is_refused(text):
    with pytest.raises(ConfigError, match="--search"):
        parse_space([text])
