"""What a picture can be judged by: the rules and models of the configuration, and the model files beside them. Pure.

Who asks names a choice by its id; a path never comes from outside.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from engines import shipped_detector, shipped_model
from shadowline.errors import StationError
from station.config import DEFAULT, Config, LearnedBase, parts_of
from station.console.tryout.messages import Choice
from station.engine import model_file

__all__ = ["choices_of", "pick"]

_MOST_FILES: Final = 200
_SUFFIX: Final = ".onnx"


def choices_of(config: Config, folders: Iterable[Path] = ()) -> dict[str, Choice]:
    """Return the choices by id: the plain tables first, then each recipe, then the model files that are there.

    Files are sought beside those of the configuration, beside the shipped one, and in `folders`.
    """
    recipes = [Choice(name, name) for name in (DEFAULT, *config.recipe)]
    files = [Choice(_title(path), DEFAULT, str(path)) for path in _model_files(config, folders)]
    return {_id(choice): choice for choice in (*recipes, *files)}


def pick(choices: dict[str, Choice], ids: Iterable[str]) -> tuple[Choice, ...]:
    """Return the choices of those ids. Raises `StationError` where one is gone."""
    try:
        return tuple(choices[one] for one in ids)
    except KeyError:
        raise StationError("there is no such model any more: load the page again") from None


def _model_files(config: Config, folders: Iterable[Path]) -> list[Path]:
    """Return model files, those of one folder in order of name, each once; finder files of `[regions]` are none."""
    used = [model_file(config.engine), *(recipe.model for recipe in config.recipe.values()), shipped_model()]
    places = dict.fromkeys([*(path.parent for path in used if path is not None), *folders])
    finders = {path.resolve() for path in _finder_files(config)}
    found = dict.fromkeys(file.resolve() for folder in places for file in _files_in(folder))
    return [file for file in found if file not in finders][:_MOST_FILES]


def _finder_files(config: Config) -> Iterator[Path]:
    yield shipped_detector()
    for part in parts_of(config.regions):
        if isinstance(part, LearnedBase) and part.model is not None:
            yield part.model


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX and path.is_file())
    except OSError:
        return []


def _title(path: Path) -> str:
    """Return what a file is called: its name, with its folder where a training run has named the file alike."""
    return f"{path.parent.name}/{path.name}"


def _id(choice: Choice) -> str:
    return hashlib.sha256(f"{choice.recipe}\n{choice.model}".encode()).hexdigest()[:16]
