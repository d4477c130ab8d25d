"""`station train evaluate, predict, explain, compare`: the commands that look at what there is."""

from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.table import Table

from shadowline.errors import StationError
from training.command.common import (
    AsJson,
    DataOption,
    PrecisionOption,
    RecipeOption,
    SetOption,
    ThreadsOption,
    console,
    machine_of,
    need_training,
    recipe_of,
)
from training.data import check_leak, read_tree
from training.evaluate import evaluate as evaluate_model
from training.evaluate import parse_split, report_on
from training.predict import Prediction
from training.predict import predict as predict_pictures
from training.scores import Scores

__all__ = ["compare", "evaluate", "explain", "leave_out", "mount", "predict"]


_FOR_REPORTS = ("sklearn", "matplotlib")
"""What figures and plots need: they are made without torch, whose loading takes longer than they."""


def mount(app: typer.Typer) -> None:
    """Add these commands to the group."""
    for command in (evaluate, predict, explain, compare, leave_out):
        app.command(command.__name__.replace("_", "-"))(command)


def evaluate(
    model: Annotated[Path, typer.Option(help="Model file.")],
    data: Annotated[Path, typer.Option(help="Folder with one folder a class.")],
    split: Annotated[str | None, typer.Option(help="Only one side of a split: MANIFEST:test.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for `compare`: the model as if it were a run of this split.")
    ] = None,
    learnt: Annotated[
        Path | None,
        typer.Option(help="Folder it learnt from: refuse pictures that stand there too, or twins."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model file on labelled pictures, each taken whole, through the engine of serving."""
    if report is not None:
        if split is None:
            raise StationError("--report needs the --split to be judged by, as MANIFEST:test")
        need_training(*_FOR_REPORTS)
        report_on(model, data, parse_split(split), report)
        return
    for note in () if learnt is None else check_leak(read_tree(learnt), read_tree(data)):
        typer.echo(note, err=True)
    scores, skipped = evaluate_model(model, data, None if split is None else parse_split(split))
    for path, reason in skipped.items():
        typer.echo(f"skipped {path}: {reason}", err=True)
    if as_json:
        typer.echo(scores.model_dump_json())
    else:
        _print(scores)


def predict(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    pictures: Annotated[list[Path], typer.Argument(help="Pictures.")],
    as_json: AsJson = False,
) -> None:
    """Name pictures, each taken whole, with confidence; `unknown` is what the station would say."""
    found = predict_pictures(model, pictures)
    if as_json:
        typer.echo("[" + ",".join(one.model_dump_json() for one in found) + "]")
        return
    table = Table("picture", "label", "confidence", "then", "novelty")
    for one in found:
        table.add_row(Path(one.picture).name, _label(one), f"{one.confidence:.1%}", _second(one), _novelty(one))
    console.print(table)


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    pictures: Annotated[list[Path], typer.Argument(help="Pictures.")],
    out: Annotated[Path, typer.Option(help="Sheet to write (PNG).")] = Path("explained.png"),
) -> None:
    """Draw where in each picture the answer comes from (Grad-CAM)."""
    need_training()
    from training.explain import explain_sheet
    from training.runs import load_run

    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), explain_sheet(load_run(run), pictures)):
        raise StationError(f"{out}: can't write the sheet: is it a .png, and the folder writable?")
    console.print(f"{out}: {len(pictures)} pictures", highlight=False, soft_wrap=True)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[Path, typer.Option(help="Folder for the plot of accuracy against time.")] = Path("runs/compare"),
    as_json: AsJson = False,
) -> None:
    """Rank runs by their test side, with intervals, and plot accuracy against microseconds a crop."""
    need_training(*_FOR_REPORTS)
    from training.compare import compare as compare_runs
    from training.compare import comparison_table, write_comparison

    comparison = compare_runs(runs)
    write_comparison(comparison, out)
    if as_json:
        typer.echo(comparison.model_dump_json())
    else:
        console.print(comparison_table(comparison))


def leave_out(
    data: DataOption,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    run: Annotated[Path | None, typer.Option(help="Folder of its runs [default: runs/NAME-leave-out].")] = None,
    precision: PrecisionOption = "int8",
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    threads: ThreadsOption = None,
    as_json: AsJson = False,
) -> None:
    """Train without each class in turn and see whether its pictures are told as novel. Goes on where it was cut off."""
    need_training()
    from training.leave_out import leave_out as measure

    made = recipe_of(data, recipe, settings)
    folder = run or Path("runs") / f"{made.name}-leave-out"
    found = measure(made, data, folder, machine_of(threads, accelerator), Console(stderr=True), precision)
    if as_json:
        typer.echo("[" + ",".join(one.model_dump_json() for one in found) + "]")
        return
    table = Table("left out", "AUROC", "caught", "false unknowns", "accuracy of the others")
    for one in found:
        table.add_row(
            one.label, f"{one.auroc:.4f}", f"{one.caught:.1%}", f"{one.false_unknown:.1%}", f"{one.accuracy:.2%}"
        )
    mean = sum(one.auroc for one in found) / len(found)
    console.print(table, f"mean AUROC {mean:.4f}")


def _print(scores: Scores) -> None:
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


def _label(one: Prediction) -> str:
    return one.label if one.label == one.likeliest else f"{one.label} ({one.likeliest}?)"


def _second(one: Prediction) -> str:
    label, probability = list(one.probabilities.items())[min(1, len(one.probabilities) - 1)]
    return f"{label} {probability:.1%}"


def _novelty(one: Prediction) -> str:
    if one.novelty is None:
        return "-"
    return f"{one.novelty:.3g}" + ("" if one.novelty_limit is None else f" (limit {one.novelty_limit:.3g})")
