"""`station coil`: tell a running station that a coil begins. Main thread."""

from pathlib import Path
from typing import Annotated

import typer

from station.command.options import ConfigFile, Endpoint, KeyFolder
from station.command.peer import find_control
from station.config_file import load
from station.control_protocol import Coil, ask

__all__ = ["coil"]


def coil(
    name: Annotated[str, typer.Argument(help="Number or name of the coil, as events and reports will carry it.")],
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Begin a coil: positions count from what is under the line's zero mark now."""
    if endpoint is None and load(config).line.encoder is None:
        typer.echo("this line has no [line.encoder]: frames carry no position, and no coil", err=True)
        raise typer.Exit(2)
    peer = find_control(config, endpoint, keys)
    ask(peer.endpoint, Coil(name), keys=peer.keys)
    typer.echo(f"coil {name}: positions count from here")
