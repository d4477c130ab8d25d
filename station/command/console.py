"""`station console`: serve the web console, and say who may use it. Main thread."""

import getpass
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from shadowline.errors import MissingExtra, StationError
from station.command.options import AsJson, ConfigFile, KeyFolder
from station.command.peer import find_control, find_peer
from station.command.signals import Signals
from station.config_file import load
from station.notify import notify

if TYPE_CHECKING:
    from station.console.records import Records
    from station.console.serve import Served

__all__ = ["app"]

logger = logging.getLogger(__name__)

app = typer.Typer(help="Serve the web console.")
users = typer.Typer(no_args_is_help=True, help="Say who may use the console.")
app.add_typer(users, name="user")

RoleName: TypeAlias = Literal["viewer", "operator", "engineer"]
PersonName: TypeAlias = Annotated[str, typer.Argument(help="The name to log in with.", metavar="NAME")]

_TURN_S = 0.2
_ALIVE_S = 1.0


@app.callback(invoke_without_command=True)
def _serve(context: typer.Context, config: ConfigFile = Path("config.toml"), keys: KeyFolder = None) -> None:
    """Serve the web console until told to stop; the station does not know that it is there."""
    if context.invoked_subcommand is not None:
        return
    with _missing_told():
        from station.console.serve import serving
    settings = load(config)
    publish = find_peer("publish", config, None, keys)
    journal = find_peer("journal", config, None, keys)
    control = find_control(config, None, keys)
    with Signals() as signals, serving(settings, config, publish, journal, control) as served:
        logger.info("console on %s", served.url)
        if not settings.console.local and settings.console.certificate is None:
            logger.warning("the console is open to the network in plain text, as plain_network allows")
        _live(served, signals)
        notify("STOPPING=1\nSTATUS=the last pages are sent")


def _live(served: "Served", signals: Signals) -> None:
    """Tell systemd once a second that the console turns, until it is told to stop. Raises `StationError`."""
    notify("READY=1")
    told_s = 0.0
    while not signals.stop:
        if faults := served.faults():
            raise StationError("; ".join(faults))
        if time.monotonic() - told_s > _ALIVE_S:
            told_s = time.monotonic()
            heard = "heard" if served.console.feed.online else "not heard"
            notify(f"WATCHDOG=1\nSTATUS={served.url}; station {heard}")
        time.sleep(_TURN_S)


@users.command("add")
def _add(
    name: PersonName,
    role: Annotated[RoleName, typer.Option(help="What the person may do.")] = "viewer",
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Let somebody in; asks for the password, or reads it from a pipe."""
    with _opened(config) as records:
        from station.console.people import role_of

        person = records.people.add(name, role_of(role), _password())
        records.audit.write("command line", "people.add", person.name, role)
        typer.echo(f"{person.name} may log in as {role}")


@users.command("list")
def _list(config: ConfigFile = Path("config.toml"), as_json: AsJson = False) -> None:
    """Show who is let in."""
    with _opened(config) as records:
        people = [{"name": one.name, "role": one.role.name.lower()} for one in records.people.all()]
    if as_json:
        typer.echo(json.dumps(people))
    else:
        typer.echo("\n".join(f"{one['name']}: {one['role']}" for one in people) or "nobody")


@users.command("remove")
def _remove(name: PersonName, config: ConfigFile = Path("config.toml")) -> None:
    """Let somebody in no more."""
    with _opened(config) as records:
        records.people.remove(name)
        records.audit.write("command line", "people.remove", name)
        typer.echo(f"{name} is let in no more")


@users.command("password")
def _set_password(name: PersonName, config: ConfigFile = Path("config.toml")) -> None:
    """Give somebody another password, and end their logins."""
    with _opened(config) as records:
        records.people.set_password(name, _password())
        records.sessions.end_all(name)
        records.audit.write("command line", "people.password", name)
        typer.echo(f"{name} has another password")


@contextmanager
def _opened(config: Path) -> Iterator["Records"]:
    with _missing_told():
        from station.console.records import open_records
    with open_records(load(config).console) as records:
        yield records


@contextmanager
def _missing_told() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("station"):
            raise
        raise MissingExtra(missing.name, "console") from None


def _password() -> str:
    """Ask twice at a terminal, else read a line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise StationError("the two are not the same")
    return password
