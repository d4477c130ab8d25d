"""`station recipe`: see, prepare and select the recipes of a running station, over its control socket. Main thread."""

import json
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from station.client import Peer
from station.command.follow import follow
from station.command.options import AsJson, ConfigFile, Endpoint, KeyFolder
from station.command.peer import find_control
from station.control_protocol import Prepare, Recipe, Recipes, RecipeStatus, Unprepare, ask

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See, prepare and select the recipes of a running station.")

_CONFIG = Path("config.toml")
_STYLES = {"active": "bold green", "prepared": "green", "preparing": "cyan", "failed": "red"}

Key: TypeAlias = Annotated[
    str, typer.Argument(help="Name of the recipe, or its external_id; default, or 0, are the plain tables.")
]


@app.command("list")
def _list(
    endpoint: Endpoint = None, keys: KeyFolder = None, config: ConfigFile = _CONFIG, as_json: AsJson = False
) -> None:
    """List the recipes: which one holds, which are prepared, and why one failed."""
    peer = find_control(config, endpoint, keys)
    _print(ask(peer.endpoint, Recipes(), keys=peer.keys), as_json)


@app.command("prepare")
def _prepare(
    recipe: Key,
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Build and prove a recipe's model while the line runs on, so that selecting it is a matter of one frame.

    Exit code 1 when it can't be used.
    """
    _follow(find_control(config, endpoint, keys), Prepare(_key(recipe)), as_json)


@app.command("select")
def _select(
    recipe: Key,
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let a recipe hold from the next frame on; one that is not prepared is prepared first.

    Exit code 1 when it can't be used: the one before goes on. A restart begins with `[station] recipe`.
    """
    _follow(find_control(config, endpoint, keys), Recipe(_key(recipe)), as_json)


@app.command("unprepare")
def _unprepare(
    recipe: Key,
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Free the memory of a recipe's model that is not in use."""
    peer = find_control(config, endpoint, keys)
    _print(ask(peer.endpoint, Unprepare(_key(recipe)), keys=peer.keys), as_json)


def _key(word: str) -> str | int:
    return int(word) if word.isdecimal() else word


def _follow(peer: Peer, request: Prepare | Recipe, as_json: bool) -> None:
    """Send `request`, show the preparation that it began, if any, and its end."""
    begun = ask(peer.endpoint, request, keys=peer.keys)
    works = any(one.state == "preparing" and request.recipe in (one.name, one.number) for one in begun.recipes)
    status = follow(begun, lambda: ask(peer.endpoint, Recipes(), keys=peer.keys)) if works else begun
    _print(status, as_json)
    if works and status.outcome != "kept":
        typer.echo(status.report, err=True)
        raise typer.Exit(1)


def _print(status: RecipeStatus, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(status)))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("recipe", "number", "state", "model", "description"):
        table.add_column(name)
    for one in status.recipes:
        number = "" if one.number is None else str(one.number)
        state = Text(one.state, _STYLES.get(one.state, ""))
        table.add_row(one.name, number, state, Text(Path(one.model).name), Text(one.description))
        if one.detail:
            table.add_row("", "", Text(one.detail))
    Console(highlight=False, soft_wrap=True).print(table)
