"""`station model`: see, swap and roll back the model of a running station, over its control socket. Main thread."""

import json
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from station.client import Peer
from station.command.follow import follow
from station.command.options import AsJson, ConfigFile, Endpoint, KeyFolder
from station.command.peer import find_control
from station.control_protocol import ModelRequest, ModelStatus, Rollback, Status, Swap, ask

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See, swap and roll back the model of a running station.")


@app.command("status")
def _status(
    endpoint: Endpoint = None, keys: KeyFolder = None, config: ConfigFile = Path("config.toml"), as_json: AsJson = False
) -> None:
    """Show which model is live, which one is there to go back to, and how far a swap is."""
    peer = find_control(config, endpoint, keys)
    _print(ask(peer.endpoint, Status(), keys=peer.keys), as_json)


@app.command("swap")
def _swap(
    model: Annotated[Path, typer.Argument(help="The new model file, on the station's computer.")],
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None, typer.Option(help="Convert it; without this the file's own precision.")
    ] = None,
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Build a model, prove it, run it beside the live one, and switch to it between two frames.

    The line runs on all the while. Exit code 1 when the new model was refused or taken back. A restart loads the model
    that the configuration names: write the new one there to keep it.
    """
    _follow(find_control(config, endpoint, keys), Swap(str(model.absolute()), precision), as_json)


@app.command("rollback")
def _rollback(
    endpoint: Endpoint = None, keys: KeyFolder = None, config: ConfigFile = Path("config.toml"), as_json: AsJson = False
) -> None:
    """Go back to the model before, between two frames."""
    _follow(find_control(config, endpoint, keys), Rollback(), as_json)


def _follow(peer: Peer, request: ModelRequest, as_json: bool) -> None:
    """Send `request`, show the job until it ends, and its end."""
    begun = ask(peer.endpoint, request, keys=peer.keys)
    status = follow(begun, lambda: ask(peer.endpoint, Status(), keys=peer.keys))
    _print(status, as_json)
    if status.outcome != "kept":
        raise typer.Exit(1)


def _print(status: ModelStatus, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(status)))
        return
    typer.echo(f"live      {status.live}  on {status.engine}: {status.why}")
    typer.echo(f"previous  {status.previous or 'none: nothing to go back to'}")
    if status.golden is not None:
        typer.echo(f"golden    {status.golden:.2%} named rightly")
    if status.stage != "idle":
        typer.echo(f"now       {status.stage} {status.part:.0%} {status.detail}")
    if status.outcome:
        report = status.report.replace("; ", "\n          ")
        typer.echo(f"last      {status.outcome.replace('_', ' ')}: {report}")
