"""`station archive`: look through evidence, make a training set of it, bring its index into line. Main thread."""

import sqlite3
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

import cv2
import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shadowline.errors import ConfigError, StationError
from station.archive.evidence import Evidence
from station.archive.export import Exported, read_picture
from station.archive.export import export as export_crops
from station.archive.index import Filter, open_index, read_index
from station.archive.reconcile import Reconciled, reconcile
from station.archive.sheet import draw_sheet
from station.archive.shelf import minutes, owned, read_evidence
from station.command.archive_view import show_entries, show_evidence, show_info
from station.command.options import AsJson, ConfigFile
from station.config_file import load

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look through the evidence, and make a training set of it.")

_Step = TypeVar("_Step")
_TELL_S = 10.0
_CONFIG = Path("config.toml")

ArchiveFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--folder", help="The archive, if not [archive] folder of the configuration.")
]
Camera: TypeAlias = Annotated[str | None, typer.Option(help="Of this camera.")]
Coil: TypeAlias = Annotated[str | None, typer.Option(help="Of this coil.")]
Part: TypeAlias = Annotated[str | None, typer.Option(help="Of this part.")]
Job: TypeAlias = Annotated[str | None, typer.Option(help="Of this job.")]
Since: TypeAlias = Annotated[str | None, typer.Option(help="Of this day (UTC, 2026-11-21) or later.", metavar="DAY")]
Until: TypeAlias = Annotated[str | None, typer.Option(help="Of this day or earlier.", metavar="DAY")]
Verdict: TypeAlias = Annotated[
    Literal["accept", "reject", "invalid", "damaged"] | None, typer.Option(help="Of frames with this verdict.")
]
First: TypeAlias = Annotated[int | None, typer.Option("--from", min=0, help="From this event on.")]
Last: TypeAlias = Annotated[int | None, typer.Option("--to", min=0, help="Up to this event.")]


@app.command("list")
def _list(
    label: Annotated[str | None, typer.Option(help="With a region of this label.")] = None,
    camera: Camera = None,
    coil: Coil = None,
    part: Part = None,
    job: Job = None,
    since: Since = None,
    until: Until = None,
    verdict: Verdict = None,
    first: First = None,
    last: Last = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    folder: ArchiveFolder = None,
    config: ConfigFile = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """List evidence, the newest first; --json prints a line each."""
    wanted = Filter(label, camera, coil, _day(since), _day(until), verdict, first, last, part, job)
    with read_index(_folder(folder, config)) as index:
        found = list(index.find(wanted, limit))
    if as_json:
        for entry in found:
            typer.echo(msgspec.json.encode(entry).decode())
    else:
        show_entries(found)


@app.command("show")
def _show(
    event: Annotated[int, typer.Argument(min=0, help="Number of the event.")],
    sheet: Annotated[Path | None, typer.Option(help="Write its pictures side by side into this file (PNG).")] = None,
    folder: ArchiveFolder = None,
    config: ConfigFile = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show what was kept of an event, where it lies, and whether its pictures are as they were written."""
    archive = _folder(folder, config)
    with read_index(archive) as index:
        found = list(index.find(Filter(first=event, last=event)))
    if not found:
        raise StationError(f"nothing was kept of event {event} in {archive}")
    if sheet is not None and len(found) > 1:
        raise StationError(f"{len(found)} runs of the station had an event {event}: a sheet shows one")
    for entry in found:
        place = archive / entry.place
        evidence = read_evidence(place)
        contents = [read_picture(place, picture) for picture in evidence.pictures]
        if as_json:
            typer.echo(msgspec.json.encode({"place": str(place), "evidence": evidence}).decode())
        else:
            show_evidence(place, evidence)
        if sheet is not None:
            _write_sheet(sheet, evidence, contents)


@app.command("export")
def _export(
    target: Annotated[Path, typer.Argument(help="A new folder for the pictures, with a folder a label in it.")],
    label: Annotated[
        list[str] | None, typer.Option(help="Only this label (several times for several); without it all but unknown.")
    ] = None,
    camera: Camera = None,
    coil: Coil = None,
    part: Part = None,
    job: Job = None,
    since: Since = None,
    verdict: Verdict = None,
    most: Annotated[
        int | None, typer.Option("--max-per-class", min=1, help="Of each label only the newest so many.")
    ] = None,
    folder: ArchiveFolder = None,
    config: ConfigFile = _CONFIG,
) -> None:
    """Write crops as a training set: a folder a label, as `station train fit` and `train data check` take it.

    The labels are what the model said: look through the folders first.
    """
    labels, archive = frozenset(label or ()), _folder(folder, config)
    wanted = Filter(camera=camera, coil=coil, since=_day(since), verdict=verdict, part=part, job=job)
    with read_index(archive) as index:
        entries = [entry for entry in index.find(wanted) if (labels & set(entry.labels) if labels else entry.labels)]
    steps = export_crops(archive, entries, target, labels, most)
    done = _go_through("evidence", len(entries), steps, lambda step: step.read) or Exported()
    for line in done.skipped:
        typer.echo(f"left out: {line}", err=True)
    for name, count in sorted(done.written.items()):
        typer.echo(f"{count} {name}")
    typer.echo(f"{done.written.total()} pictures in {target}")


@app.command("index")
def _index(
    anew: Annotated[bool, typer.Option("--anew", help="Begin with an empty index.")] = False,
    folder: ArchiveFolder = None,
    config: ConfigFile = _CONFIG,
) -> None:
    """Bring the index into line with the files, while no station writes there; one that starts does it by itself."""
    archive = _folder(folder, config)
    try:
        with owned(archive), open_index(archive, anew) as index:
            total = sum(1 for _ in minutes(archive))
            steps = reconcile(archive, index)
            done = _go_through("folders", total, steps, lambda step: step.folders) or Reconciled()
            count = index.count()
    except (OSError, sqlite3.Error) as error:
        raise StationError(f"{archive}: the index can't be written: {error}") from None
    typer.echo(
        f"{done.entered} entered, {done.damaged} of them damaged; {done.struck} struck out; {count} in the index"
    )


@app.command("info")
def _info(folder: ArchiveFolder = None, config: ConfigFile = _CONFIG, as_json: AsJson = False) -> None:
    """Say how much is kept, by what it counts as, since when, and how much room the disk has."""
    archive = _folder(folder, config)
    with read_index(archive) as index:
        show_info(archive, index, as_json)


def _folder(folder: Path | None, config: Path) -> Path:
    """Return the archive that is meant. Raises `ConfigError` where there is none."""
    archive = folder or load(config).archive.folder
    if archive is None:
        raise ConfigError(f"{config}: [archive] folder is not set, so nothing is kept; name an archive with --folder")
    if not archive.is_dir():
        raise ConfigError(f"{archive}: no such folder; a station makes it when it first keeps something")
    return archive


def _day(word: str | None) -> str | None:
    try:
        return date.fromisoformat(word).isoformat() if word is not None else None
    except ValueError:
        raise StationError(f"{word}: not a day; write it like 2026-11-21") from None


def _go_through(what: str, total: int, steps: Iterable[_Step], done: Callable[[_Step], int]) -> _Step | None:
    """Return the last of `steps`, with a bar on a terminal and a line every ten seconds elsewhere."""
    console, told_s, last = Console(stderr=True), time.monotonic(), None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        for last in steps:
            bar.update(task, completed=done(last))
            if not console.is_terminal and time.monotonic() - told_s >= _TELL_S:
                told_s = time.monotonic()
                typer.echo(f"{done(last)} of {total} {what}", err=True)
    return last


def _write_sheet(path: Path, evidence: Evidence, contents: list[bytes]) -> None:
    encoded = cv2.imencode(".png", draw_sheet(evidence, contents))[1]
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise StationError(f"{path}: can't be written: {error.strerror}") from None
    typer.echo(path)
