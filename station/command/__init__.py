"""The command `station`: parses words, configures logging, prints errors in one line. Main thread."""

import logging
import os
import sys
from importlib.metadata import entry_points

import typer

from shadowline import __version__
from shadowline.errors import StationError
from station.command.bench import bench
from station.command.calibrate import app as calibrate
from station.command.camera import app as camera
from station.command.check import check
from station.command.coil import coil
from station.command.doctor import doctor
from station.command.engine import app as engine
from station.command.inspect import inspect
from station.command.model import app as model
from station.command.report import report
from station.command.run import run
from station.command.schema import schema
from station.command.watch import watch

__all__ = ["main"]


app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for command in (run, watch, inspect, check, schema, doctor, bench, coil, report):
    app.command()(command)
app.add_typer(calibrate, name="calibrate")
app.add_typer(camera, name="camera")
app.add_typer(engine, name="engine")
app.add_typer(model, name="model")


@app.callback(invoke_without_command=True)
def _station(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Camera inspection station for metal surfaces."""
    if version:
        typer.echo(f"shadowline {__version__}")
        raise typer.Exit


def _mount_groups(words: list[str]) -> None:
    """Mount the groups of other packages (`station train …`) by entry point, and load only the one that is called."""
    for group in entry_points(group="station.commands"):
        if not words or words[0].startswith("-") or words[0] == group.name:
            app.add_typer(group.load(), name=group.name)


def main() -> None:
    """Run the command line; every expected fault ends as one line on stderr and exit code 2."""
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=f"{stamp}%(levelname)s %(message)s")
    try:
        _mount_groups(sys.argv[1:])
        app()
    except StationError as error:
        for line in str(error).splitlines():
            typer.echo(f"station: {line}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
