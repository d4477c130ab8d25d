"""`station journal`: what is kept of all messages, beside the running station or without it. Main thread."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from shadowline.errors import ConfigError
from station.command.options import AsJson, ConfigFile
from station.config_file import load
from station.journal.survey import Checked, forget, survey, verify

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="What is kept of all messages: size, reach, readers, checksums.")


@app.command("info")
def _info(config: ConfigFile = Path("config.toml"), as_json: AsJson = False) -> None:
    """Show size and reach of the journal, how far its consumers are, and what was put aside as damaged."""
    folder = _folder_of(config)
    found = survey(folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder)} | asdict(found)))
        return
    typer.echo(f"journal    {found.journal}  in {folder}")
    typer.echo(f"messages   {found.first} to {found.last}" if found.last else "messages   none")
    typer.echo(f"size       {found.used_bytes / 1e6:.1f} MB in files of {found.file_bytes / 1e6:.1f} MB")
    for one in found.consumers:
        at = datetime.fromtimestamp(one.acknowledged_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        typer.echo(f"consumer   {one.name}: {one.acknowledged}, {found.last - one.acknowledged} behind, at {at}")
    for name in found.damaged:
        typer.echo(f"damaged    {name}: look at it, then move it away")


@app.command("verify")
def _verify(config: ConfigFile = Path("config.toml"), as_json: AsJson = False) -> None:
    """Read everything and compare the checksums; exit code 1 when one is wrong."""
    folder = _folder_of(config)
    holes: list[tuple[int, int]] = []
    damaged: list[tuple[int, int]] = []
    messages, following = 0, None
    for batch in _shown(verify(folder), survey(folder).last):
        if following is not None and batch.first > following:
            holes.append((following, batch.first - 1))
        following = batch.last + 1
        messages += batch.last - batch.first + 1
        if not batch.whole:
            damaged.append((batch.first, batch.last))
    if as_json:
        typer.echo(json.dumps({"messages": messages, "holes": holes, "damaged": damaged}))
    else:
        typer.echo(f"{messages} messages read, {len(damaged)} batches damaged")
        for word, ranges in (("missing", holes), ("damaged", damaged)):
            for first, last in ranges:
                typer.echo(f"{word}  {first} to {last}")
    if damaged:
        raise typer.Exit(1)


@app.command("forget")
def _forget(
    consumer: Annotated[str, typer.Argument(help="Its name, as station journal info shows it.")],
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Remove a consumer: its place is free, and under this name it begins anew."""
    folder = _folder_of(config)
    forget(folder, consumer)
    typer.echo(f"{consumer} is forgotten")


def _folder_of(config: Path) -> Path:
    folder = load(config).journal.folder
    if folder is None:
        raise ConfigError(f'{config}: [journal] keeps nothing: folder = "journal" says where')
    return folder


def _shown(batches: Iterable[Checked], last: int) -> Iterator[Checked]:
    """Yield `batches` with a bar on stderr that ends at the number `last`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=last)
        for batch in batches:
            bar.update(task, completed=batch.last)
            yield batch
