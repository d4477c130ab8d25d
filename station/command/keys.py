"""`station keys`: make keys, say who is let in, and send away. Main thread."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from shadowline.errors import ConfigError, KeysError
from station.command.options import AsJson, ConfigFile, KeyFolder
from station.config_file import load
from station.security.clients import DOMAINS, Client, Domain, allow, read_clients, revoke
from station.security.keys import make_client_pair, make_station_pair, today

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Make keys, and say who may listen, ask and command from other computers.")

_WIDTH = 200  # lines stay whole in a file or a pipe


@app.command("new")
def _new(
    client: Annotated[str | None, typer.Option(help="Make the keys of this client, on its own computer.")] = None,
    station: Annotated[str | None, typer.Option(help="With --client: the station's public key.")] = None,
    keys: KeyFolder = None,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Make the station's keys, or with --client those of a client; print the public one.

    The private key stays in its file.
    """
    folder = _folder(keys, config)
    if client is None and station is None:
        public = make_station_pair(folder).public
        typer.echo(f"{folder}: a client's keys: station keys new --client NAME --station '{public}'", err=True)
    elif client is not None and station is not None:
        public = make_client_pair(folder, client, station).public
        typer.echo(f"{folder}: on the station's computer: station keys allow {client} '{public}'", err=True)
    else:
        raise ConfigError("--client and --station belong together: a client must know the station by its public key")
    typer.echo(public)


@app.command("allow")
def _allow(
    name: Annotated[str, typer.Argument(help="The client.", show_default=False)],
    public_key: Annotated[str, typer.Argument(help="Its public key, in single quotes.", show_default=False)],
    may: Annotated[str, typer.Option(help="What it may: some of events, replay, control, by comma.")] = "events,replay",
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day (UTC) on which it may no more.")
    ] = None,
    keys: KeyFolder = None,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Let a client in; a station that runs takes it up within two seconds."""
    client = allow(_folder(keys, config), name, public_key, _domains(may), expires.date() if expires else None)
    until = f" until {client.expires}" if client.expires else ""
    typer.echo(f"{name} may use {', '.join(client.may)}{until}")


@app.command("revoke")
def _revoke(
    name: Annotated[str, typer.Argument(help="The client.", show_default=False)],
    keys: KeyFolder = None,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Let a client in no more; a station that runs cuts it off within two seconds.

    All others are cut off with it for a moment, and come back by themselves.
    """
    revoke(_folder(keys, config), name)
    typer.echo(f"{name} is let in no more")


@app.command("list")
def _list(keys: KeyFolder = None, config: ConfigFile = Path("config.toml"), as_json: AsJson = False) -> None:
    """List the clients, and what each may; exit code 1 when a file is none of a client."""
    clients, faults = read_clients(_folder(keys, config))
    if as_json:
        typer.echo(json.dumps([msgspec.to_builtins(client) | {"state": _state(client)} for client in clients]))
    else:
        _draw(clients)
    if faults:
        typer.echo("\n".join(faults), err=True)
        raise typer.Exit(1)


def _draw(clients: list[Client]) -> None:
    table = Table("client", "may", "allowed", "expires", "", "public key", box=None, pad_edge=False)
    for client in clients:
        expires = str(client.expires or "–")
        row = client.name, ", ".join(client.may), str(client.allowed), expires, _state(client), client.public_key
        table.add_row(*row)
    Console(highlight=False, markup=False, width=_WIDTH).print(table)


def _state(client: Client) -> str:
    if client.revoked:
        return f"revoked {client.revoked}"
    return "expired" if client.expires and client.expires <= today() else "let in"


def _domains(text: str) -> list[Domain]:
    words = {word.strip() for word in text.split(",")}
    if unknown := words.difference(DOMAINS):
        raise KeysError(f"--may {', '.join(sorted(unknown))}: there are {', '.join(DOMAINS)}")
    return [domain for domain in DOMAINS if domain in words]


def _folder(keys: Path | None, config: Path) -> Path:
    folder = keys or load(config).security.folder
    if folder is None:
        raise ConfigError(
            f'{config}: [security] folder = "keys" says where keys are kept: add it, or give --keys FOLDER'
        )
    return folder
