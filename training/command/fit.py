"""`station train fit, tune, ensemble, export, networks`: the commands that leave run folders and model files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shadowline.errors import ConfigError, StationError
from training.command.common import (
    AsJson,
    DataOption,
    PrecisionOption,
    RecipeOption,
    RunOption,
    SetOption,
    ThreadsOption,
    console,
    free_run,
    machine_of,
    metrics_table,
    need_training,
    recipe_of,
    show_exported,
)

__all__ = ["ensemble", "export", "fit", "mount", "networks", "tune"]


def mount(app: typer.Typer) -> None:
    """Add these commands to the group."""
    for command in (fit, tune, ensemble, export, networks):
        app.command(command.__name__)(command)


def fit(
    data: DataOption,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    network: Annotated[str | None, typer.Option(help="Network: compact, original, or a backbone's name.")] = None,
    weights: Annotated[str | None, typer.Option(help="Its first weights: a file, `hub` or `package`.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Model file to learn from as well (distillation).")] = None,
    run: RunOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a --run that was cut off.")] = False,
    precision: PrecisionOption = "int8",
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs of this machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that draw crops.")] = None,
    threads: ThreadsOption = None,
    as_json: AsJson = False,
) -> None:
    """Train on a folder of pictures: a measured model file and its report come out."""
    need_training()
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    from training.fit import fit as fit_run
    from training.pipeline import finish

    made = recipe_of(data, recipe, settings, network=network, weights=weights, teacher=teacher)
    if resume and run is None:
        raise ConfigError("--resume needs the --run to go on with")
    if devices * nodes > 1 and run is None:
        raise ConfigError("several processes share one folder: name it with --run, where all machines see it")
    machine = machine_of(threads, accelerator, devices, nodes, workers)
    fitted = fit_run(made, data, run or free_run(made.name), machine, resume, Console(stderr=True))
    if rank_zero_only.rank == 0:
        show_exported(fitted, finish(fitted, data, precision), as_json)


def tune(
    data: DataOption,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    search: Annotated[
        list[str] | None, typer.Option(help="KEY=LOW..HIGH or KEY=A,B,C [default: rate, smoothing, augment, decay].")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trainings that this process adds.")] = 20,
    run: Annotated[Path | None, typer.Option(help="Folder of the study [default: runs/NAME-tune].")] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Search for better settings; any number of processes may share one --run folder. Writes best.toml there."""
    need_training()
    from training.tune import parse_space, write_recipe
    from training.tune import tune as tune_recipe

    made = recipe_of(data, recipe, settings)
    folder = run or Path("runs") / f"{made.name}-tune"
    best = tune_recipe(
        made, data, folder, parse_space(search or []), trials, machine_of(threads, accelerator), Console(stderr=True)
    )
    file = folder / "best.toml"
    write_recipe(best, file)
    console.print(
        f"{file}: the best settings so far; next: station train fit {data} --recipe {file}",
        highlight=False,
        soft_wrap=True,
    )


def ensemble(
    data: DataOption,
    runs: Annotated[list[Path], typer.Argument(help="Run folders of its members.")],
    run: RunOption = None,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "ensemble",
    choose: Annotated[int | None, typer.Option(min=1, help="Take the best few, one after the other.")] = None,
    precision: PrecisionOption = "int8",
    as_json: AsJson = False,
) -> None:
    """Join finished runs into one graph: each member prepares its crops for itself, the answer is their mean."""
    need_training()
    from training.ensemble import join
    from training.pipeline import finish
    from training.runs import load_run
    from training.samples import pictures_of

    loaded = [load_run(folder) for folder in runs]
    folder = run or free_run(name)
    chosen = join(loaded, pictures_of(loaded[0].recipe, data), data, folder, name, choose)
    if not as_json:
        for place, (number, loss) in enumerate(zip(chosen.members, chosen.losses, strict=False), 1):
            console.print(f"{place}. {runs[number]}: validation loss {loss:.4f}", highlight=False)
    joined = load_run(folder)
    show_exported(joined, finish(joined, data, precision), as_json)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="The same folder of pictures as for fit.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    precision: PrecisionOption = "int8",
    keep_fp32: Annotated[Path | None, typer.Option(help="Also write the fp32 file that it is made from.")] = None,
) -> None:
    """Write a run's model file again, in another precision or place."""
    need_training()
    from training.export import export as export_run
    from training.runs import load_run

    exported = export_run(load_run(run), data, out, precision, keep_fp32)
    console.print(metrics_table(exported.card))
    console.print(f"{out}: {exported.card.name}, {exported.card.precision}", highlight=False, soft_wrap=True)


def networks(contains: Annotated[str, typer.Argument(help="Part of the name.")] = "") -> None:
    """List the networks that `--network` knows."""
    need_training()
    from training.networks import backbone_names

    names = [name for name in ("compact", "original", *backbone_names()) if contains in name]
    if not names:
        raise StationError(f"no network has {contains!r} in its name")
    typer.echo("\n".join(names))
