"""Whether each recipe's model can be read and follows its rules, told before the line starts. Pure but for files."""

from pathlib import Path

from engines import read_card
from engines.model import ModelCard
from shadowline.errors import ConfigError, StationError
from station.config import Config
from station.engine import model_file
from station.regions import FinderLabels
from station.verdict import Judge

__all__ = ["judge_recipes"]


def judge_recipes(config: Config, cards: dict[Path | None, ModelCard], finders: FinderLabels) -> dict[str, Judge]:
    """Return the judge of each recipe, by name; `finders` are the labels that the line's finders give by themselves.

    `cards` are those of model files that were read already; the others are read and added. Raises `ConfigError` with a
    line for each recipe whose model can't be read or can't follow its rules.
    """
    judges, faults = {}, []
    for name in config.recipe:
        try:
            judges[name] = _judge(config.by_recipe(name), cards, finders)
        except StationError as fault:
            faults.append(f"[recipe.{name}] {fault}")
    if faults:
        raise ConfigError("\n".join(faults))
    return judges


def _judge(config: Config, cards: dict[Path | None, ModelCard], finders: FinderLabels) -> Judge:
    file = model_file(config.engine)
    if file is not None and file not in cards:
        cards[file] = read_card(file)
    return Judge(config.verdict, cards[file], finders)
