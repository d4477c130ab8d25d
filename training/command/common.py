"""What the commands of `station train` share: options, the check for the extra, run folders, the closing lines."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from engines.model import ModelCard, Precision
from shadowline.errors import ConfigError, MissingExtra
from training.recipe import Recipe, make_recipe

if TYPE_CHECKING:
    from training.export import Exported
    from training.machine import Machine
    from training.runs import Run

__all__ = [
    "AsJson",
    "DataOption",
    "PrecisionOption",
    "RecipeOption",
    "RunOption",
    "SetOption",
    "ThreadsOption",
    "console",
    "free_run",
    "machine_of",
    "metrics_table",
    "need_training",
    "recipe_of",
    "show_exported",
    "slug",
]

console = Console()

DataOption: TypeAlias = Annotated[Path, typer.Argument(help="Folder with one folder of pictures a class.")]
RecipeOption: TypeAlias = Annotated[Path | None, typer.Option(help="Recipe (TOML); its paths are below DATA.")]
SetOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", help="One setting of the recipe: KEY=VALUE. May be repeated.")
]
RunOption: TypeAlias = Annotated[Path | None, typer.Option(help="Run folder to write [default: runs/NAME].")]
ThreadsOption: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Threads on a CPU [default: all cores].")]
PrecisionOption: TypeAlias = Annotated[Precision, typer.Option(help="Precision of the model file.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_PACKAGES = ("torch", "lightning", "timm", "onnx", "sklearn", "matplotlib")


def need_training(*packages: str) -> None:
    """Raise `MissingExtra` where one of `packages`, or anything of the extra `training`, is not installed."""
    for package in packages or _PACKAGES:
        try:
            __import__(package)
        except ModuleNotFoundError as fault:
            raise MissingExtra(package, "training") from fault


def slug(text: str) -> str:
    """Return a model name made of a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "model"


def recipe_of(data: Path, recipe: Path | None, settings: list[str] | None, **known: object) -> Recipe:
    """Return the recipe of a command; one without a file is named after the folder of pictures."""
    if recipe is None and not any(setting.startswith("name=") for setting in settings or []):
        known["name"] = slug(data.resolve().name)
    return make_recipe(recipe, settings or [], **known)


def free_run(name: str) -> Path:
    """Return the first of runs/NAME, runs/NAME-2, … that is not there."""
    return next(path for path in _runs(name) if not path.exists())


def _runs(name: str) -> Iterator[Path]:
    return (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in count(1))


def machine_of(
    threads: int | None, accelerator: str = "auto", devices: int = 1, nodes: int = 1, workers: int | None = None
) -> "Machine":
    """Return what to train on. Raises `ConfigError` for an accelerator that does not exist."""
    from training.machine import Machine  # loads torch: only when called

    if accelerator not in ("auto", "cpu", "gpu"):
        raise ConfigError(f"--accelerator {accelerator}: expected auto, cpu or gpu")
    return Machine(accelerator=accelerator, devices=devices, nodes=nodes, workers=workers, threads=threads)


def show_exported(run: "Run", exported: "Exported", as_json: bool) -> None:
    """Print what a finished run is worth and where everything lies."""
    paths, card = run.paths, exported.card
    if as_json:
        summary = {
            "run": str(paths.folder),
            "model": str(paths.model),
            "report": str(paths.report / "index.html"),
            "us_per_crop": exported.us_per_crop,
            "card": card.model_dump(mode="json"),
        }
        typer.echo(_json(summary))
        return
    console.print(metrics_table(card))
    lines = (
        f"model   {paths.model}: {card.precision}, {paths.model.stat().st_size / 1e6:.2f} MB, "
        f"{exported.us_per_crop:.0f} µs a crop on one core",
        f"report  {paths.report / 'index.html'}",
        f"next    station train predict {paths.model} PICTURE",
        f'        in config.toml: [engine] model = "{paths.model}"',
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def metrics_table(card: ModelCard) -> Table:
    """Return the figures in a model card as a table."""
    table = Table("pictures", "n", "accuracy", "macro-F1", "calibration error", title=card.name)
    for split, metrics in card.metrics.items():
        if "macro_f1" in metrics:
            shares = (f"{metrics['accuracy']:.2%}", f"{metrics['macro_f1']:.4f}", f"{metrics['ece']:.2%}")
            table.add_row(split, f"{metrics['n']:.0f}", *shares)
    return table


def _json(summary: dict[str, object]) -> str:
    import json

    return json.dumps(summary)
