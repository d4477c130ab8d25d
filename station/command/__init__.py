"""The command `station`: parses words, configures logging, prints errors in one line. Main thread."""

import logging
import os
import sys
from importlib.metadata import entry_points

import typer

from shadowline import __version__
from shadowline.errors import StationError
from station.command.archive import app as archive
from station.command.bench import bench
from station.command.calibrate import app as calibrate
from station.command.camera import app as camera
from station.command.check import check
from station.command.coil import coil
from station.command.console import app as console
from station.command.doctor import doctor
from station.command.engine import app as engine
from station.command.gateway import gateway
from station.command.inspect import inspect
from station.command.install import install
from station.command.journal import app as journal
from station.command.keys import app as keys
from station.command.metrics import app as metrics
from station.command.model import app as model
from station.command.opcua import app as opcua
from station.command.part import job, part
from station.command.recipe import app as recipe
from station.command.report import report
from station.command.run import run
from station.command.schema import schema
from station.command.tail import tail
from station.command.watch import watch

__all__ = ["main"]


app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for command in (run, watch, inspect, check, schema, doctor, bench, coil, part, job, report, tail, gateway, install):
    app.command()(command)
app.add_typer(archive, name="archive")
app.add_typer(calibrate, name="calibrate")
app.add_typer(camera, name="camera")
app.add_typer(console, name="console")
app.add_typer(engine, name="engine")
app.add_typer(journal, name="journal")
app.add_typer(keys, name="keys")
app.add_typer(metrics, name="metrics")
app.add_typer(model, name="model")
app.add_typer(opcua, name="opcua")
app.add_typer(recipe, name="recipe")


@app.callback(invoke_without_command=True)
def _station(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Camera inspection station for metal surfaces."""
    if version:
        typer.echo(f"shadowline {__version__}")
        raise typer.Exit


def _mount_groups(words: list[str]) -> None:
    """Mount the commands of other packages (`station train …`) by entry point, and load only the one that is called.

    `install` writes completion for all of them.
    """
    for entry in entry_points(group="station.commands"):
        if not words or words[0].startswith("-") or words[0] in (entry.name, "install"):
            found = entry.load()
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=entry.name)
            else:
                app.command(entry.name)(found)


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
