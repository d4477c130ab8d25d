"""What a recipe says of pictures and marks, and what is given beside it."""

import json
from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from training.assess.sought import sought


def test_a_finders_recipe_has_a_table_of_marks(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('split_seed = 4\nepochs = 3\n[marks]\nboxes = "voc"\npictures = "some"\n')
    asked = sought(file, {"pictures": Path("others"), "masks": None})
    assert (asked.split_seed, asked.marks.boxes, asked.marks.pictures) == (4, Path("voc"), Path("others"))


def test_a_classifiers_recipe_has_the_same_keys_outside(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('pictures = "some"\nboxes = "voc"\nfold = 0\nnetwork = "compact"\n[aliases]\n"1_rosse" = "rust"\n')
    asked = sought(file, {})
    assert (asked.fold, asked.marks.pictures, asked.marks.aliases) == (0, Path("some"), {"1_rosse": "rust"})


def test_a_run_has_its_recipe_in_json(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({"fold": None, "marks": {"masks": "masks", "boxes": None}, "split_seed": 2}))
    assert sought(file, {}, split_seed=9).split_seed == 9
    assert sought(file, {}).marks.masks == Path("masks")


@pytest.mark.parametrize(
    ("text", "words"),
    [("pictures = [", "not a recipe"), ('boxes = "a"\ncoco = "b"', "exclude each other"), ("fold = -1", "fold")],
)
def test_a_recipe_amiss_is_told(tmp_path, text, words):
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        sought(file, {})


def test_a_missing_recipe_is_told(tmp_path):
    with pytest.raises(ConfigError, match="not a recipe"):
        sought(tmp_path / "none.toml", {})
