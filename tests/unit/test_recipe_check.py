"""Whether recipes can be used, by what their model files say of themselves."""

from pathlib import Path
from typing import Any

import pytest

from engines import read_card, shipped_model
from engines.model import ModelCard
from shadowline.errors import ConfigError
from station.config import Config
from station.recipe_check import judge_recipes
from station.regions import FinderLabels
from tests.system.lines import make_config

FP32 = shipped_model().with_name("neu-compact-fp32.onnx")


def made(folder: Path, recipes: dict[str, Any]) -> Config:
    return make_config(folder, {"top": {}}, engine={"backend": "onnx_runtime"}, recipe=recipes)


def test_each_recipe_has_its_judge_and_each_file_is_read_once(tmp_path: Path) -> None:
    config = made(tmp_path, {"a": {}, "b": {"model": str(FP32), "verdict": {"rules": {"patches": {"min_area_px": 9}}}}})
    cards: dict[Path | None, ModelCard] = {shipped_model(): read_card(shipped_model())}
    judges = judge_recipes(config, cards, FinderLabels())
    assert {name: judge.rules["patches"].min_area_px for name, judge in judges.items()} == {"a": 0, "b": 9}
    assert set(cards) == {shipped_model(), FP32}


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"model": "none.onnx"}, r"none.onnx: can't read the model file"),
        ({"verdict": {"rules": {"dent": {}}}}, r"\[verdict.rules\] dent: not a label of the model"),
        ({"verdict": {"label_floors": {"dent": 0.5}}}, r"\[verdict.label_floors\] dent: not a label of the model"),
    ],
)
def test_every_recipe_that_can_not_be_used_has_a_line(tmp_path: Path, recipe: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)^\[recipe.a\] .*{words}.*\n\[recipe.b\] .*{words}") as fault:
        judge_recipes(made(tmp_path, {"a": recipe, "good": {}, "b": recipe}), {}, FinderLabels())
    assert len(str(fault.value).splitlines()) == 2


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.onnx").write_bytes(b"odd")
    with pytest.raises(ConfigError, match=r"^\[recipe.a\] .*odd.onnx") as fault:
        judge_recipes(made(tmp_path, {"a": {"model": "odd.onnx"}}), {}, FinderLabels())
    assert "\n" not in str(fault.value)
