"""`station engine`: build plans of model files, list and inspect them, compare engines. Main thread."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from engines.build import BuildRequest
from engines.build_subject import refuse
from engines.flavour import find_flavour
from engines.frame_onnx import is_finder
from engines.frame_parity import FrameParity
from engines.gpu import find_gpu
from engines.parity import Parity
from engines.plan import Profile
from engines.plan_cache import PlanCache, default_cache
from shadowline.errors import StationError
from station.command.engine_compare import compare_crops, compare_finders, take_crops, take_frames
from station.command.engine_plan import find_plan, run_build
from station.command.engine_view import machine, outdated, show_parity, show_plan, unfit
from station.command.options import AsJson

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Build, list, inspect and compare engines.")

CacheFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--cache", help="Folder of built plans, if not the user's own.")
]
CropsFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--crops", help="Pictures to measure and to prove on; without them drawn ones are used.")
]
MaxFlips: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-flips",
        min=0,
        max=1,
        help="Part of the labels, or of what a finder finds, that may change; to build 0.02, of a finder 0.1.",
    ),
]
FrameSize: TypeAlias = Annotated[
    tuple[int, int] | None,
    typer.Option(help="Size of the frames of a finder that takes any.", metavar="HEIGHT WIDTH"),
]

_MAX_FLIPS, _MAX_CHANGES = 0.02, 0.1
_CROPS, _FRAMES = (1, 8, 32), (1, 1, 4)
_WHOLE = ("plan", "precision", "built (UTC)", "here")


@app.command("build")
def _build(
    model: Annotated[Path, typer.Argument(help="The model or finder file (ONNX).")],
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None, typer.Option(help="Convert to it; without this the file's own.")
    ] = None,
    target: Annotated[
        Literal["auto", "onnx_runtime", "tensor_rt"],
        typer.Option(help="What will run it; auto is TensorRT where it is installed."),
    ] = "auto",
    batches: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Fewest, usual and most crops, or frames, in one run.", metavar="MIN OPT MAX"),
    ] = None,
    input_px: FrameSize = None,
    gpu: Annotated[int, typer.Option(min=0, help="Number of the GPU to build for.")] = 0,
    capability: Annotated[
        str | None, typer.Option(help="Build for another machine's GPU of this compute capability, such as 8.9.")
    ] = None,
    workspace_mib: Annotated[int, typer.Option(min=1, max=1 << 20, help="GPU memory that the build may use.")] = 1024,
    crops: CropsFolder = None,
    max_flips: MaxFlips = None,
    out: Annotated[Path | None, typer.Option(help="Also write the converted model file here.")] = None,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Build the plan of a model or finder file, prove it, and put it into the cache with its passport."""
    finds = is_finder(model)
    with tempfile.TemporaryDirectory() as folder:
        npy = Path(folder) / "crops.npy"
        np.save(npy, take_frames(model, crops, input_px) if finds else take_crops(model, crops).crops)
        request = BuildRequest(
            model=model,
            cache=cache or default_cache(),
            target=_target(target, capability),
            precision=precision,
            profile=_profile(*(batches or (_FRAMES if finds else _CROPS))),
            input_px=input_px,
            gpu=gpu,
            capability=capability,
            workspace_mib=workspace_mib,
            crops=npy,
            max_flip_share=(_MAX_CHANGES if finds else _MAX_FLIPS) if max_flips is None else max_flips,
        )
        plan = run_build(request)
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
    found = find_plan(plan, cache)
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
    model: Annotated[Path, typer.Argument(help="The reference: a model or finder file, on ONNX Runtime and the CPU.")],
    candidate: Annotated[
        str,
        typer.Argument(help="A model file, a plan (folder or first digits), or fp32, fp16 or int8 of the same."),
    ],
    crops: CropsFolder = None,
    max_flips: MaxFlips = None,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare a plan, a precision or another file with a model or finder file: errors, what changes, time.

    Exit code 2 when more labels flip, or more of what is found changes, than --max-flips allows.
    """
    parity: Parity | FrameParity
    if is_finder(model):
        parity, judged = compare_finders(model, candidate, crops, cache), None
    else:
        parity, judged = compare_crops(model, candidate, crops, cache)
    if as_json:
        typer.echo(parity.model_dump_json())
    else:
        show_parity(parity, judged)
    refuse(parity, 1.0 if max_flips is None else max_flips)


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
