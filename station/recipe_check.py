"""Whether each recipe's model and limits can be read and used, told before the line starts. Pure but for files."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from engines import read_card
from engines.model import ModelCard
from shadowline.errors import ConfigError, StationError
from station.calibrated import Calibrated, by_recipe
from station.config import DEFAULT, Config
from station.engine import model_file
from station.regions import FinderLabels
from station.verdict import Judge

__all__ = ["calibrate_recipes", "judge_recipes"]

T = TypeVar("T")


def judge_recipes(config: Config, cards: dict[Path | None, ModelCard], finders: FinderLabels) -> dict[str, Judge]:
    """Return the judge of each recipe, by name; `finders` are the labels that the line's finders give by themselves.

    `cards` are those of model files that were read already; the others are read and added. Raises `ConfigError` with a
    line for each recipe whose model can't be read or can't follow its rules.
    """
    return _of_each(config.recipe, lambda name: _judge(config.by_recipe(name), cards, finders))


def calibrate_recipes(config: Config, plain: Mapping[str, Calibrated]) -> dict[str, dict[str, Calibrated]]:
    """Return what each camera uses by each recipe, the plain tables too, by their names.

    `plain` is what `open_calibration` found. Raises `ConfigError` with a line for each recipe whose limits can't be
    used.
    """
    return _of_each((DEFAULT, *config.recipe), lambda name: by_recipe(plain, config, name))


def _of_each(names: Iterable[str], make: Callable[[str], T]) -> dict[str, T]:
    made, faults = {}, []
    for name in names:
        try:
            made[name] = make(name)
        except StationError as fault:
            faults.append(str(fault) if name == DEFAULT else f"[recipe.{name}] {fault}")
    if faults:
        raise ConfigError("\n".join(faults))
    return made


def _judge(config: Config, cards: dict[Path | None, ModelCard], finders: FinderLabels) -> Judge:
    file = model_file(config.engine)
    if file is not None and file not in cards:
        cards[file] = read_card(file)
    return Judge(config.verdict, cards[file], finders)
