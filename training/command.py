"""`station train`: fit a network, export it as a model file, evaluate one. Torch is loaded by fit and export only."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from engines.model import Precision
from shadowline.errors import MissingExtra
from training.evaluate import evaluate, parse_split
from training.recipe import read_recipe
from training.scores import Scores

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train, export and evaluate the networks that name regions.")


@app.command("fit")
def _fit(
    recipe: Annotated[Path, typer.Option(help="Recipe (TOML).")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's paths are below.")],
    run: Annotated[Path, typer.Option(help="Run directory to write: recipe, manifest, metrics, checkpoint.")],
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 2,
) -> None:
    """Fit a network by a recipe."""
    _need_training()
    from training.fit import fit  # loads torch: only when called

    fit(read_recipe(recipe), data, run, threads)
    Console().print(f"{run}: fitted; next: station train export --run {run} --data {data} --out MODEL.onnx")


@app.command("export")
def _export(
    run: Annotated[Path, typer.Option(help="Run directory of `station train fit`.")],
    data: Annotated[Path, typer.Option(help="The same data folder as for fit.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    precision: Annotated[Precision, typer.Option(help="Precision in the file.")] = "int8",
    keep_fp32: Annotated[Path | None, typer.Option(help="Also write the fp32 file that it is made from.")] = None,
) -> None:
    """Export a run as one self-describing model file, measured on its validation and test sides."""
    _need_training()
    from training.export import export  # loads torch: only when called

    card = export(run, data, out, precision, keep_fp32)
    table = Table("split", "metric", "value")
    for split, metrics in card.metrics.items():
        for metric, value in metrics.items():
            table.add_row(split, metric, f"{value:.4g}")
    Console().print(table, f"{out}: {card.name}, {card.precision}, confidence floor {card.confidence_floor}")


@app.command("evaluate")
def _evaluate(
    model: Annotated[Path, typer.Option(help="Model file.")],
    data: Annotated[Path, typer.Option(help="Folder with one folder a class.")],
    split: Annotated[str | None, typer.Option(help="Only one side of a split: MANIFEST:test.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a model file on labelled pictures, each taken whole, through the engine of serving."""
    scores, skipped = evaluate(model, data, None if split is None else parse_split(split))
    for path, reason in skipped.items():
        typer.echo(f"skipped {path}: {reason}", err=True)
    if as_json:
        typer.echo(scores.model_dump_json())
    else:
        _print(scores)


def _print(scores: Scores) -> None:
    console = Console()
    console.print(
        f"{scores.n} pictures: accuracy {scores.accuracy:.4f}, macro-F1 {scores.macro_f1:.4f}, ECE {scores.ece:.4f}"
    )
    table = Table("label", "n", "precision", "recall", "F1", "named something else")
    for (label, one), row in zip(scores.per_class.items(), scores.confusion, strict=True):
        figures = (f"{value:.4f}" for value in (one.precision, one.recall, one.f1))
        wrong = (
            f"{count} {other}" for other, count in zip(scores.labels, row, strict=True) if count and other != label
        )
        table.add_row(label, str(one.n), *figures, ", ".join(wrong))
    console.print(table)


def _need_training() -> None:
    """Raise `MissingExtra` where torch or onnx is not installed."""
    for package in ("torch", "onnx"):
        try:
            __import__(package)
        except ModuleNotFoundError as fault:
            raise MissingExtra(package, "training") from fault
