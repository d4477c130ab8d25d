"""`station metrics`: what the metrics server needs from a person. Main thread."""

import os
from pathlib import Path
from typing import Annotated

import typer

from shadowline.errors import ConfigError
from station.metrics.secret import draw

__all__ = ["app", "password"]

app = typer.Typer(no_args_is_help=True, help="The metrics server.")


@app.callback()
def _metrics() -> None:
    """The metrics server."""


@app.command()
def password(
    file: Annotated[Path, typer.Argument(help="Gets the hash, for [metrics] password_file; a new file.")],
) -> None:
    """Draw the password that opens the metrics: printed once, for Prometheus' password_file, and kept as a hash."""
    drawn, kept = draw()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError:
        raise ConfigError(f"{file} exists: remove it first, the password in use is then no longer good") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(kept)
    typer.echo(drawn)
