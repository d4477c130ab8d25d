"""Search for better settings with Optuna: a study in an SQLite file that several processes can work on. Needs torch."""

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from shadowline.errors import ConfigError, StationError
from training.fit import fit_tree, open_tree
from training.machine import Machine
from training.recipe import Recipe

__all__ = ["Space", "open_study", "parse_space", "tune", "write_recipe"]

Space = dict[str, tuple[Any, ...]]
"""Key of the recipe → `(low, high)` of numbers, searched on a logarithmic scale over a decade or more, or choices."""

DEFAULT_SPACE: Space = {
    "learning_rate": (1e-4, 1e-2),
    "label_smoothing": (0.0, 0.1),
    "augment": (0.5, 1.5),
    "weight_decay": (1e-3, 1e-1),
}
_DECADE = 10.0


def parse_space(texts: list[str]) -> Space:
    """Return a space of `key=low..high` and `key=a,b,c` texts; the default one without any. Raises `ConfigError`."""
    space: Space = {}
    for text in texts:
        key, _, values = text.partition("=")
        low, dots, high = values.partition("..")
        try:
            space[key] = (float(low), float(high)) if dots else tuple(_choice(part) for part in values.split(","))
        except ValueError as fault:
            raise ConfigError(f"--search {text}: expected KEY=LOW..HIGH or KEY=A,B,C") from fault
        if key not in Recipe.model_fields or not values:
            raise ConfigError(f"--search {text}: {key} is no setting of a recipe, or has no values")
    return space or DEFAULT_SPACE


@contextmanager
def open_study(database: Path, name: str) -> Iterator[optuna.Study]:
    """Open or make the study `name` in an SQLite file: the better of two trials has the lower validation loss."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        again = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=2)
        url = f"sqlite:///{database}"
        storage = optuna.storages.RDBStorage(url, heartbeat_interval=30, heartbeat_stale_trial_callback=again)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3)
    try:
        yield optuna.create_study(storage=storage, study_name=name, load_if_exists=True, pruner=pruner)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def tune(
    recipe: Recipe, data: Path, folder: Path, space: Space, trials: int, machine: Machine, console: Console
) -> Recipe:
    """Try `trials` more settings of `space` and return the recipe with the best ones so far.

    The study is `folder`/study.db; any number of processes, on one machine or on several that share the folder, add
    to it, and a killed one is made up for. All trials have the same split; its test side is not looked at. A trial
    that does worse than the others did is cut short.
    """
    tree, manifest = open_tree(recipe, data)

    def objective(trial: optuna.Trial) -> float:
        settings = {key: _suggest(trial, key, values) for key, values in space.items()}
        chosen = _with(recipe, settings)
        run = folder / f"trial-{trial.number}"
        losses: list[float] = []

        def also(row: Mapping[str, float]) -> None:
            losses.append(row["val_loss"])
            trial.report(row["val_loss"], int(row["epoch"]))
            if trial.should_prune():
                raise optuna.TrialPruned

        console.print(f"trial {trial.number}: {settings}", highlight=False)
        try:
            fit_tree(chosen, tree, manifest, data, run, machine, console, also)
        finally:
            shutil.rmtree(run, ignore_errors=True)
        return min(losses)

    with open_study(folder / "study.db", recipe.name) as study:
        study.optimize(objective, n_trials=trials)
        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if not done:
            raise StationError(f"{folder}: no trial was completed yet: give it more with --trials")
        return _with(recipe, study.best_params)


def _with(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(recipe.model_dump() | dict(settings))
    except ValueError as fault:
        raise ConfigError(f"{dict(settings)}: {fault}") from fault


def _suggest(trial: optuna.Trial, key: str, values: tuple[Any, ...]) -> Any:
    numbers = len(values) == 2 and all(isinstance(value, float) for value in values)
    if not numbers:
        return trial.suggest_categorical(key, values)
    low, high = values
    return trial.suggest_float(key, low, high, log=low > 0 and high / low >= _DECADE)


def _choice(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as a TOML file that `read_recipe` takes, without what is at its default."""
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in tables and value is not None]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")
