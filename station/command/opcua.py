"""`station opcua`: say which clients and users the OPC UA server lets in. Main thread."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shadowline.errors import ConfigError, MissingExtra
from station.command.options import ConfigFile
from station.config.gateways import OpcUaConfig
from station.config_file import load

if TYPE_CHECKING:
    from station.gateways.opcua.certificates import Trust

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Say which clients and users the OPC UA server lets in.")

Gateway = Annotated[str, typer.Option(help="Which one, where there are several.", show_default=False)]


@app.command("user")
def _user(
    name: Annotated[str, typer.Argument(help="The user.", show_default=False)],
    remove: Annotated[bool, typer.Option("--remove", help="Let this user in no more.")] = False,
    gateway: Gateway = "",
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Let a user in, and print the password that was drawn; it is shown this once. A server that runs takes it up."""
    from station.gateways.opcua.users import Users

    users = Users(_folder(gateway, config))
    if not remove:
        typer.echo(users.add(name))
    elif not users.remove(name):
        raise ConfigError(f"{name}: no such user; there are {', '.join(users.names()) or 'none'}")


@app.command("trust")
def _trust(
    certificate: Annotated[Path, typer.Argument(help="A client's certificate, DER or PEM.", show_default=False)],
    gateway: Gateway = "",
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Let in the client with this certificate; a server that runs takes it up."""
    trust = _trusted(_folder(gateway, config))
    typer.echo(trust.add(certificate))


@app.command("clients")
def _clients(gateway: Gateway = "", config: ConfigFile = Path("config.toml")) -> None:
    """List the certificates of clients: those that are trusted, and those that knocked and were refused."""
    for file, subject, known in _trusted(_folder(gateway, config)).listed():
        typer.echo(f"{'trusted ' if known else 'refused '} {subject}  {file}")


def _trusted(folder: Path) -> "Trust":
    try:
        from station.gateways.opcua.certificates import Trust
    except ImportError:
        raise MissingExtra("cryptography", "opcua") from None
    return Trust(folder)


def _folder(name: str, config: Path) -> Path:
    """Return the folder of the gateway `name`, or of the only one."""
    found = {key: one.folder for key, one in load(config).gateway.items() if isinstance(one, OpcUaConfig)}
    if name in found:
        return found[name]
    if name or len(found) != 1:
        raise ConfigError(f"{config}: --gateway names one of type opcua; there are {', '.join(found) or 'none'}")
    return next(iter(found.values()))
