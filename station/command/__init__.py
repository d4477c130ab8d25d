"""The command `station`: parses words, configures logging, prints errors in one line. Main thread."""

import logging
import os
import sys
from importlib.metadata import EntryPoint, entry_points

import click
import typer
from typer.core import TyperGroup
from typer.main import get_command

from shadowline import __version__
from shadowline.errors import StationError
from station.command.bench import bench
from station.command.check import check
from station.command.doctor import doctor
from station.command.inspect import inspect
from station.command.run import run
from station.command.schema import schema
from station.command.watch import watch

__all__ = ["main"]


class _WithGroups(TyperGroup):
    """Finds the groups of other packages (`station train …`) by entry point and loads one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_groups())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if group := _groups().get(cmd_name):
            return get_command(group.load())
        return super().get_command(ctx, cmd_name)


def _groups() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="station.commands")}


app = typer.Typer(
    cls=_WithGroups, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
for command in (run, watch, inspect, check, schema, doctor, bench):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _station(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Camera inspection station for metal surfaces."""
    if version:
        typer.echo(f"shadowline {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every expected fault ends as one line on stderr and exit code 2."""
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=f"{stamp}%(levelname)s %(message)s")
    try:
        app()
    except StationError as error:
        for line in str(error).splitlines():
            typer.echo(f"station: {line}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
