"""What configurations are measured on: where pictures and marks are, how they are split. Pure but for reading."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from shadowline.errors import ConfigError
from station.config import Table
from training.data import MarkSettings

__all__ = ["Sought", "sought"]


class Sought(Table):
    """The keys of a recipe that say which pictures there are and what is marked in them."""

    marks: MarkSettings = MarkSettings()
    """Where the pictures are and where their marks."""
    split_seed: Annotated[int, Field(ge=0)] = 1
    """Of the split."""
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Parts of the pictures for train, val and test."""
    fold: Annotated[int | None, Field(ge=0)] = None
    """Which of the k test sides of a k-fold."""


def sought(recipe: Path | None, marks: Mapping[str, object], split_seed: int | None = None) -> Sought:
    """Return what a recipe says of pictures and marks, changed by `marks` and `split_seed` where they are given.

    A recipe is a TOML file, or the JSON file of a run, of a finder (its table `marks`) or of a classifier (the same
    keys outside a table); its other keys are not looked at. Raises `ConfigError`.
    """
    values = {} if recipe is None else _read(recipe)
    found = {key: values[key] for key in Sought.model_fields if key in values}
    own = found.get("marks") or {key: values[key] for key in MarkSettings.model_fields if key in values}
    given = {key: value for key, value in marks.items() if value}
    found["marks"] = {**own, **given}
    if split_seed is not None:
        found["split_seed"] = split_seed
    try:
        return Sought.model_validate(found)
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{recipe or 'marks'}: {key}: {first['msg'].removeprefix('Value error, ')}") from fault


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as fault:
        raise ConfigError(f"{file}: not a recipe: {fault}") from fault
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: not a recipe")
    return {key: value for key, value in values.items() if value is not None}
