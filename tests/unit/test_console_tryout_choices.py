"""By what a picture may be judged: what the configuration names and what lies beside it, called by ids."""

from pathlib import Path

import pytest

from engines import shipped_detector, shipped_model
from shadowline.errors import StationError
from station.config import Config
from station.config_file import parse
from station.console.tryout.choices import choices_of, pick
from station.console.tryout.messages import Choice


def config(folder: Path, **tables: object) -> Config:
    return parse({"camera": [{"name": "top", "type": "simulated"}], **tables}, folder / "config.toml")


def test_rules_first_then_the_files_beside_those_in_use(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("b.onnx", "a.onnx", "heat.onnx", "notes.txt"):
        (models / name).write_bytes(b"")
    (models / "folder.onnx").mkdir()
    recipes = {"coil-a": {"model": "models/a.onnx"}}
    regions = {"type": "heatmap", "model": "models/heat.onnx"}
    engine = {"model": "models/b.onnx"}
    choices = choices_of(config(tmp_path, engine=engine, recipe=recipes, regions=regions))
    titles = [choice.title for choice in choices.values()]
    assert titles[:4] == ["default", "coil-a", "models/a.onnx", "models/b.onnx"]
    files = {Path(choice.model) for choice in choices.values() if choice.model}
    assert shipped_model() in files
    assert not files & {models / "heat.onnx", shipped_detector(), models / "folder.onnx"}


def test_a_choice_is_named_by_its_id_alone(tmp_path: Path) -> None:
    choices = choices_of(config(tmp_path))
    first = next(iter(choices))
    assert pick(choices, [first]) == (Choice("default", "default"),)
    for stranger in ("default", "", str(shipped_model()), "../x"):
        with pytest.raises(StationError, match="no such model"):
            pick(choices, [first, stranger])


def test_a_folder_that_is_gone_has_no_files(tmp_path: Path) -> None:
    choices = choices_of(config(tmp_path, engine={"model": "gone/x.onnx"}))
    assert all("gone" not in choice.model for choice in choices.values())
