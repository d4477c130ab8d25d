"""`station engine`: build plans of model files, list and inspect them, compare engines. Main thread."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from engines import Engine, OnnxRuntimeEngine, read_card
from engines.build import BuildRequest
from engines.build_process import BuildProcess
from engines.flavour import find_flavour
from engines.gpu import find_gpu
from engines.parity import compare, refuse_flips
from engines.plan import Plan, Profile
from engines.plan_cache import PlanCache, default_cache
from engines.tensor_rt import TensorRtEngine
from shadowline.errors import StationError
from station.command.engine_view import machine, outdated, show_parity, show_plan, unfit
from station.command.options import AsJson
from station.sample_crops import Crops, draw_crops, read_crops

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Build, list, inspect and compare engines.")

CacheFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--cache", help="Folder of built plans, if not the user's own.")
]
CropsFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--crops", help="Pictures to measure and to prove on; without them drawn ones are used.")
]
MaxFlips: TypeAlias = Annotated[
    float, typer.Option("--max-flips", min=0, max=1, help="Part of the crops whose label may change.")
]

_DRAWN = 512
_WHOLE = ("plan", "precision", "built (UTC)", "here")


@app.command("build")
def _build(
    model: Annotated[Path, typer.Argument(help="The model file (ONNX).")],
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None, typer.Option(help="Convert to it; without this the file's own.")
    ] = None,
    target: Annotated[
        Literal["auto", "onnx_runtime", "tensor_rt"],
        typer.Option(help="What will run it; auto is TensorRT where it is installed."),
    ] = "auto",
    batches: Annotated[
        tuple[int, int, int], typer.Option(help="Fewest, usual and most crops in one run.", metavar="MIN OPT MAX")
    ] = (1, 8, 32),
    gpu: Annotated[int, typer.Option(min=0, help="Number of the GPU to build for.")] = 0,
    capability: Annotated[
        str | None, typer.Option(help="Build for another machine's GPU of this compute capability, such as 8.9.")
    ] = None,
    workspace_mib: Annotated[int, typer.Option(min=1, max=1 << 20, help="GPU memory that the build may use.")] = 1024,
    crops: CropsFolder = None,
    max_flips: MaxFlips = 0.02,
    out: Annotated[Path | None, typer.Option(help="Also write the converted model file here.")] = None,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Build the plan of a model file, prove it against the file, and put it into the cache with its passport."""
    card = read_card(model)
    with tempfile.TemporaryDirectory() as folder:
        npy = Path(folder) / "crops.npy"
        taken = read_crops(crops, card.crop, card.labels) if crops else draw_crops(card.crop, _DRAWN)
        np.save(npy, taken.crops)
        request = BuildRequest(
            model=model,
            cache=cache or default_cache(),
            target=_target(target, capability),
            precision=precision,
            profile=_profile(*batches),
            gpu=gpu,
            capability=capability,
            workspace_mib=workspace_mib,
            crops=npy,
            max_flip_share=max_flips,
        )
        with _progress() as show:
            plan = BuildProcess(request).run(show)
    if out is not None:
        try:
            out.write_bytes(plan.model.read_bytes())
        except OSError as fault:
            raise StationError(f"{out}: can't be written: {fault.strerror}") from fault
    if as_json:
        typer.echo(plan.passport.model_dump_json())
    else:
        show_plan(plan)


@app.command("list")
def _list(cache: CacheFolder = None, as_json: AsJson = False) -> None:
    """List the plans of the cache, and whether each fits this computer."""
    plans = PlanCache(cache or default_cache())
    found = plans.plans()
    if as_json:
        typer.echo("[" + ",".join(plan.passport.model_dump_json() for plan in found) + "]")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("plan", "model", "precision", "runs on", "MB", "built (UTC)", "here"):
        table.add_column(name, justify="right" if name == "MB" else "left", overflow="fold", no_wrap=name in _WHOLE)
    for plan in found:
        passport, key = plan.passport, plan.passport.key
        table.add_row(
            key.digest[:12],
            passport.card.name,
            key.precision,
            machine(key),
            f"{passport.engine_bytes / 1e6:.1f}",
            passport.built[:16],
            "no" if unfit(plan) else "fits",
        )
    console = Console(highlight=False)
    console.print(table if found else f"{plans.folder}: no plans yet; station engine build MODEL.onnx makes one")
    for folder, why in plans.damaged().items():
        console.print(f"{folder.name}: {why}; station engine prune removes it", style="yellow")


@app.command("inspect")
def _inspect(
    plan: Annotated[str, typer.Argument(help="A plan's folder, or the first digits of its name.")],
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show a plan's passport, check that its files are whole, and whether it fits this computer."""
    found = _find(plan, cache)
    found.read_engine()
    if as_json:
        typer.echo(found.passport.model_dump_json(indent=2))
    else:
        show_plan(found)


@app.command("prune")
def _prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove the plans that fit, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    cache: CacheFolder = None,
) -> None:
    """Remove what builds left over, damaged plans, and plans of another driver, GPU or runtime than this computer's.

    Without a driver that answers, and for plans that were built for other computers, only --all removes.
    """
    plans = PlanCache(cache or default_cache())
    doomed = plans.damaged()
    for plan in plans.plans():
        if plan.folder not in doomed and (why := "asked for" if everything else outdated(plan)):
            doomed[plan.folder] = why
    size = sum(path.stat().st_size for folder in doomed for path in folder.rglob("*") if path.is_file())
    for folder, why in doomed.items():
        if not dry_run:
            plans.remove(folder)
        typer.echo(f"{'would remove' if dry_run else 'removed'} {folder.name}: {why}")
    typer.echo(f"{len(doomed)} plans, {size / 1e6:.1f} MB{' would be' if dry_run else ''} freed")


@app.command("compare")
def _compare(
    model: Annotated[Path, typer.Argument(help="The reference: a model file, on ONNX Runtime and the CPU.")],
    candidate: Annotated[
        str,
        typer.Argument(help="A model file, a plan (folder or first digits), or fp32, fp16 or int8 of the same."),
    ],
    crops: CropsFolder = None,
    max_flips: MaxFlips = 1.0,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare a plan, a precision or another model file with a model file: errors, label flips, time by batch.

    Exit code 2 when more labels flip than --max-flips allows.
    """
    card = read_card(model)
    taken = read_crops(crops, card.crop, card.labels) if crops else draw_crops(card.crop, _DRAWN)
    with OnnxRuntimeEngine(model) as reference, _open_candidate(candidate, model, taken, cache) as other:
        judged = taken.odd_rows() if candidate == "int8" else taken  # its ranges were measured on the even ones
        parity = compare(reference, other, judged.crops, judged.truth)
    if as_json:
        typer.echo(parity.model_dump_json())
    else:
        show_parity(parity, judged)
    refuse_flips(parity, max_flips)


@contextmanager
def _open_candidate(word: str, model: Path, crops: Crops, cache: Path | None) -> Iterator[Engine]:
    if word in ("fp32", "fp16", "int8"):
        with tempfile.TemporaryDirectory() as folder:
            npy = Path(folder) / "crops.npy"
            np.save(npy, crops.crops)
            facts = {"model": model, "cache": cache or default_cache(), "precision": word, "crops": npy}
            request = BuildRequest.model_validate(facts | {"max_flip_share": 1})
            with _progress() as show:
                plan = BuildProcess(request).run(show)
    elif Path(word).is_file():
        with OnnxRuntimeEngine(Path(word)) as engine:
            yield engine
        return
    else:
        plan = _find(word, cache)
    runs_plan = OnnxRuntimeEngine(plan.model) if plan.passport.key.runtime == "onnx_runtime" else TensorRtEngine(plan)
    with runs_plan as engine:
        yield engine


def _profile(fewest: int, usual: int, most: int) -> Profile:
    try:
        return Profile(min_batch=fewest, opt_batch=usual, max_batch=most)
    except ValidationError as fault:
        raise StationError(f"--batches {fewest} {usual} {most}: {fault.errors()[0]['msg']}") from fault


def _target(target: str, capability: str | None) -> Literal["onnx_runtime", "tensor_rt"]:
    """Return what the plan is for; `auto` takes TensorRT where it and a GPU are, and says why not."""
    if target == "onnx_runtime":
        return "onnx_runtime"
    if target == "tensor_rt" or capability is not None:
        return "tensor_rt"
    try:
        find_flavour()
        find_gpu()
    except StationError as fault:
        typer.echo(f"for ONNX Runtime, since there is no TensorRT: {fault}", err=True)
        return "onnx_runtime"
    return "tensor_rt"


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show steps as they come: a bar on a terminal, a line a step elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)
        last = ""

        def show(step: str, part: float) -> None:
            nonlocal last
            bar.update(task, description=step[:44], completed=part)
            if not console.is_terminal and step.partition(":")[0] != last:
                last = step.partition(":")[0]
                typer.echo(last, err=True)

        yield show


def _find(word: str, cache: Path | None) -> Plan:
    """Return the plan in the folder `word`, or the one of the cache whose name begins with it."""
    if Path(word).is_dir():
        return Plan.read(Path(word))
    plans = PlanCache(cache or default_cache())
    found = [plan for plan in plans.plans() if plan.folder.name.startswith(word)]
    if len(found) != 1:
        have = ", ".join(plan.folder.name[:12] for plan in plans.plans()) or "none"
        raise StationError(f"{word}: {'several plans begin' if found else 'no plan begins'} so; there are: {have}")
    return found[0]
