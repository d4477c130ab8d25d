"""`station coil`: tell a running station that a coil begins. Main thread."""

from pathlib import Path
from typing import Annotated

import typer

from station.command.options import ConfigFile
from station.config_file import load
from station.control import Coil, ask, endpoint_of

__all__ = ["coil"]


def coil(
    name: Annotated[str, typer.Argument(help="Number or name of the coil, as events and reports will carry it.")],
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Begin a coil: positions count from what is under the line's zero mark now."""
    settings = load(config)
    if settings.line.encoder is None:
        typer.echo("this line has no [line.encoder]: frames carry no position, and no coil", err=True)
        raise typer.Exit(2)
    ask(endpoint_of(settings), Coil(name))
    typer.echo(f"coil {name}: positions count from here")
