"""`station calibrate check`: hold a camera's optics against their baseline, or take that. Main thread."""

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from calibration.health import Figure, OpticalHealth
from calibration.health_baseline import take_baseline
from calibration.health_spots import spots_in
from shadowline.errors import CalibrationError
from station.binding import binding_of, camera_named, open_store, refuse_stranger
from station.command.camera_feed import CameraName, Feed, feed_of
from station.command.options import AsJson, ConfigFile
from station.config_file import load
from station.frame import Image
from station.optics import Target, find_baseline, load_baseline

__all__ = ["check"]

_GOOD, _USABLE = 0.1, 0.3  # share of the tolerance that the spread may take (AIAG, Measurement Systems Analysis)
_MOST_TOLD = 5


def check(
    name: CameraName,
    baseline: Annotated[bool, typer.Option("--baseline", help="Take what is seen now for the baseline.")] = False,
    plate: Annotated[bool, typer.Option("--plate", help="A golden plate lies still; else the strip runs.")] = False,
    frames: Annotated[int, typer.Option(min=32, max=10_000, help="Frames to take.")] = 96,
    repeat: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Lay the plate in so many times: how well does a check repeat?")
    ] = None,
    lens: Annotated[str, typer.Option(help="A note on lens, aperture and light, kept with a baseline.")] = "",
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Check lamp, focus, dirt, tilt, noise and dead pixels of a camera against its baseline.

    Exit code 1 when a limit is crossed. Take a baseline when all is clean and set, one of the running strip and one of
    a golden plate; the station watches by that of the strip.
    """
    target: Target = "plate" if plate else "strip"
    if baseline:
        _take(config, name, target, frames, lens, as_json)
    elif repeat:
        _tell_spread(_repeat(config, name, target, frames, repeat), as_json)
    else:
        figures = _measure(config, name, target, frames)
        _tell(figures, as_json)
        if not all(figure.within() for figure in figures.values()):
            raise typer.Exit(1)


def _take(config: Path, name: str, target: Target, frames: int, lens: str, as_json: bool) -> None:
    """Take a baseline into use."""
    settings = load(config)
    store, camera = open_store(settings), camera_named(settings, name)
    with feed_of(config, name) as feed:
        images = _images(feed, frames)
        if (first := next(images, None)) is None:
            raise CalibrationError(f"camera {name}: ended without a frame")
        first = first.copy()
        taken = take_baseline(chain([first], images))
        binding = binding_of(camera, feed.camera.identity, first, lens)
    if taken.still != (target == "plate"):
        raise CalibrationError(_other_target(name, target))
    record = store.save("health", name, binding, taken.figures, taken.arrays, {"target": target, "frames": frames})
    typer.echo(record.model_dump_json() if as_json else f"{record.title} is in use, level {taken.level:.0f}")
    if spots := spots_in(taken.dirt, settings.calibration.health.dirt_depth_percent / 100):
        where = ", ".join(f"x {spot.x_px} y {spot.y_px}" for spot in spots[:_MOST_TOLD])
        typer.echo(
            f"{len(spots)} spots of dirt are in this baseline ({where}): clean the glass, take it anew", err=True
        )


def _measure(config: Path, name: str, target: Target, frames: int) -> dict[str, Figure]:
    """Return the figures after `frames` frames. Raises `CalibrationError` where they tell nothing."""
    settings = load(config)
    store = open_store(settings)
    record = find_baseline(settings, camera_named(settings, name), target)
    if record is None:
        flags = "--plate --baseline" if target == "plate" else "--baseline"
        raise CalibrationError(f"camera {name}: no baseline of a {target}: station calibrate check {name} {flags}")
    health = OpticalHealth(load_baseline(store, record), settings.calibration.health)
    with feed_of(config, name) as feed:
        refuse_stranger(record, feed.camera.identity)
        for number, image in enumerate(_images(feed, frames)):
            health.observe(image, number)
    if not health.figures:
        raise CalibrationError(_other_target(name, target))
    return health.figures


def _other_target(name: str, target: Target) -> str:
    if target == "plate":
        return f"camera {name}: the surface moves: lay a plate still, or leave out --plate"
    return f"camera {name}: the surface stands still: let the strip run, or give --plate for a golden plate"


def _images(feed: Feed, count: int) -> Iterator[Image]:
    """Yield `count` whole frames, each valid until the next one is asked for, with a bar of progress on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("frames", total=count)
        for exposure in feed.exposures():
            image = None if exposure is None else exposure.image
            if exposure is None or image is None or (exposure.valid_rows or len(image)) < len(image):
                continue
            yield image
            bar.advance(task)
            count -= 1
            if count == 0:
                return


def _tell(figures: dict[str, Figure], as_json: bool) -> None:
    if as_json:
        told = {name: {"value": one.value, "limit": one.limit, "within": one.within()} for name, one in figures.items()}
        typer.echo(json.dumps(told))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for figure in figures.values():
        table.add_row("" if figure.within() else "!", figure.told)
    Console(highlight=False, soft_wrap=True).print(table)


def _repeat(config: Path, name: str, target: Target, frames: int, repeats: int) -> dict[str, list[Figure]]:
    """Return the figures of `repeats` checks; on a terminal the plate is laid in anew before each."""
    every: dict[str, list[Figure]] = {}
    for number in range(1, repeats + 1):
        if sys.stdin.isatty():
            typer.confirm(f"Check {number} of {repeats}: lay it in anew. Ready?", default=True, abort=True, err=True)
        for figure_name, figure in _measure(config, name, target, frames).items():
            every.setdefault(figure_name, []).append(figure)
    return every


def _tell_spread(every: dict[str, list[Figure]], as_json: bool) -> None:
    """Tell how well checks repeat: three standard deviations as a share of the way from the baseline to the limit."""
    rows = []
    for name, figures in every.items():
        values = np.array([figure.value for figure in figures])
        spread, last = float(values.std(ddof=1)), figures[-1]
        tolerance = min(abs(limit - last.nominal) for limit in (last.low, last.high))
        share = 3 * spread / tolerance if tolerance else None
        rows.append((name, float(values.mean()), spread, float(values.min()), float(values.max()), share))
    if as_json:
        keys = ("mean", "standard_deviation", "least", "greatest", "share_of_tolerance")
        typer.echo(json.dumps({name: dict(zip(keys, rest, strict=True)) for name, *rest in rows}))
        return
    table = Table("figure", "mean", "s", "least", "greatest", "3 s of tolerance", "", box=None, pad_edge=False)
    for name, *numbers, share in rows:
        cells = [f"{number:.3g}" for number in numbers]
        table.add_row(name, *cells, *(("–", "") if share is None else (f"{share:.0%}", _grade(share))))
    Console(highlight=False, soft_wrap=True).print(table)


def _grade(share: float) -> str:
    return "good" if share <= _GOOD else "usable" if share <= _USABLE else "too coarse for this limit"
