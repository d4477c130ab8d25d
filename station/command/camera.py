"""`station camera`: find cameras, and look at, focus and record one without a station. Main thread."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from shadowline.errors import StationError
from station.command.camera_feed import CameraName, Feed, feed_of
from station.command.camera_found import Driver, find_devices
from station.command.camera_record import Format, record
from station.command.camera_view import (
    FocusView,
    camera_tables,
    describe,
    draw_found,
    draw_shown,
    focus_line,
    levels,
    quality_json,
)
from station.command.options import AsJson, ConfigFile
from station.frame import Exposure
from station.picture_quality import Quality, measure
from station.recording import RecordingWriter, Shot

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Find cameras; look at, focus and record one without a station.")

_SHOW_S = 3.0
_SHOW_PICTURES = 50
_REDRAW_S = 0.1


@app.command("list")
def _list(
    driver: Annotated[Driver | None, typer.Option(help="Ask this driver alone.")] = None,
    producer: Annotated[
        Path | None, typer.Option(help="The GenTL producer (.cti) to ask; else those of GENICAM_GENTL64_PATH.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices that the installed drivers see.

    Each with the [[camera]] table that opens it. Looking for network cameras broadcasts on every network interface.
    """
    found = list(find_devices(driver, producer))
    tables = camera_tables(found)
    if as_json:
        names = ("driver", "vendor", "model", "serial", "user_name", "address", "note")
        told = [{name: getattr(one, name) for name in names} | {"table": dict(one.table)} for one in found]
        typer.echo(json.dumps([one | {"toml": table} for one, table in zip(told, tables, strict=True)]))
    elif found:
        Console(highlight=False).print(draw_found(found))
        typer.echo("\n" + "\n\n".join(tables))
    else:
        typer.echo("no device found")


@app.command("show")
def _show(name: CameraName, config: ConfigFile = Path("config.toml"), as_json: AsJson = False) -> None:
    """Show what a camera is and has, its rate and its picture.

    Measures up to 50 pictures or 3 seconds, and fails when none came.
    """
    last: tuple[Exposure, Quality] | None = None
    console = Console(highlight=False)
    with feed_of(config, name) as feed:
        for exposure in feed.exposures(_SHOW_S):
            if exposure is not None and exposure.image is not None:
                last = exposure, measure(exposure.image)
            if feed.tally.pictures >= _SHOW_PICTURES:
                break
        if as_json:
            typer.echo(json.dumps(_shown_json(feed, last)))
        else:
            console.print(draw_shown(feed.camera, feed.tally, last, console.width))
    if last is None:
        raise StationError(f"camera {name}: no picture within {_SHOW_S:g} s")


def _shown_json(feed: Feed, last: tuple[Exposure, Quality] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "camera": feed.config.name,
        "identity": feed.camera.identity,
        "features": sorted(feed.camera.features),
        "counters": dict(feed.camera.counters),
        **feed.tally.as_json(),
        "picture": None,
    }
    if last is not None:
        exposure, quality = last
        histogram = quality.histogram.tolist()
        shown["picture"] = _exposure_json(exposure) | quality_json(quality) | {"histogram": histogram}
    return shown


def _exposure_json(exposure: Exposure) -> dict[str, Any]:
    """Return all that is known of an exposure but its pixels."""
    told: dict[str, Any] = msgspec.to_builtins(Shot.of(exposure))
    if exposure.image is not None:
        told |= {"size_px": list(exposure.image.shape[::-1]), "dtype": str(exposure.image.dtype)}
    return told


@app.command("grab")
def _grab(
    name: CameraName,
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for them; without it one named by camera and time.")] = None,
    picture_format: Format = "png",
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Take pictures and write them without loss.

    They are a short recording, each is measured, and while one is written the camera may lose frames.
    """
    folder = out or Path(f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    with feed_of(config, name) as feed, RecordingWriter(folder, picture_format) as writer:
        for exposure in feed.exposures():
            if exposure is None:
                continue
            shot = writer.write(Shot.of(exposure), exposure.image)
            _tell_grabbed(folder, shot, exposure, as_json)
            if writer.pictures == count:
                return
    raise StationError(f"camera {name}: ended after {writer.pictures} of {count} pictures, in {folder}")


def _tell_grabbed(folder: Path, shot: Shot, exposure: Exposure, as_json: bool) -> None:
    quality = None if exposure.image is None else measure(exposure.image)
    if as_json:
        told = {"file": shot.file and str(folder / shot.file)} | _exposure_json(exposure)
        typer.echo(json.dumps(told | (quality_json(quality) if quality else {})))
    elif quality is None or shot.file is None:
        typer.echo(describe(exposure))
    else:
        typer.echo(
            f"{folder / shot.file}: {describe(exposure)}; sharpness {quality.sharpness:.2f} %, {levels(quality)}"
        )


@app.command("focus")
def _focus(
    name: CameraName,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Show sharpness and exposure live, to set the lens by.

    Ctrl-C ends. Without a terminal a line a picture. Higher is sharper; compare only what was taken with one gain.
    """
    with feed_of(config, name) as feed:
        view = FocusView(name)
        if sys.stdout.isatty() and not as_json:
            _focus_live(feed, view, frames)
            return
        for exposure, quality in _measured(feed, view, frames):
            if exposure is not None and as_json:
                told = _exposure_json(exposure) | (quality_json(quality) if quality else {})
                print(json.dumps(told | {"best": round(view.best, 5), "rate_hz": feed.tally.rate_hz}), flush=True)
            elif exposure is not None:
                print(focus_line(exposure, feed.tally, quality, view.best), flush=True)


def _measured(feed: Feed, view: FocusView, frames: int | None) -> Iterator[tuple[Exposure | None, Quality | None]]:
    """Yield each exposure with its measures, taken by `view`, up to `frames`; None where nothing came in time."""
    seen = 0
    for exposure in feed.exposures():
        quality = None
        if exposure is not None and exposure.image is not None:
            quality = measure(exposure.image)
            view.take(exposure.image, quality)
        yield exposure, quality
        seen += exposure is not None
        if seen == frames:
            return


def _focus_live(feed: Feed, view: FocusView, frames: int | None) -> None:
    console, drawn_s = Console(highlight=False), 0.0
    with Live(console=console, auto_refresh=False) as live:
        for _ in _measured(feed, view, frames):
            if time.monotonic() - drawn_s >= _REDRAW_S:
                drawn_s = time.monotonic()
                live.update(view.draw(feed.tally, console.width), refresh=True)
        live.update(view.draw(feed.tally, console.width), refresh=True)


app.command("record")(record)
