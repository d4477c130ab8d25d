"""`station tail`: the station's messages in their order, those of the past too. Main thread."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from shadowline.errors import ConfigError
from station.client import Gap, Item, Renumbered, Silence
from station.command.options import AsJson, ConfigFile, Endpoint, KeyFolder
from station.command.stream import JournalEndpoint, open_client, until_caught_up
from station.event import Heartbeat, encode
from station.watch_view import describe

__all__ = ["tail"]


def tail(
    start: Annotated[
        str, typer.Option("--from", metavar="NUMBER|start|now", help="Where to begin: at the oldest with start.")
    ] = "now",
    consumer: Annotated[
        str | None, typer.Option(help="Go on where this consumer was, and acknowledge what is printed.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Go on with what comes, or end with the newest.")] = True,
    as_json: AsJson = False,
    endpoint: Endpoint = None,
    journal: JournalEndpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Print messages of the journal and of the running station, each once and in order; what is lost on stderr."""
    begin = _parse(start)
    if begin == "now" and consumer is None and not follow:
        raise ConfigError("--no-follow ends with the newest message: say where to begin, with --from or --consumer")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), open_client(config, endpoint, journal, keys, begin, consumer) as client:
        for item in client if follow else until_caught_up(client):
            _print(item, as_json)
            if consumer is not None and not isinstance(item, Silence | Renumbered | Heartbeat):
                client.acknowledge(item.last if isinstance(item, Gap) else item.event)


def _parse(start: str) -> int | Literal["first", "now"]:
    match start:
        case "now":
            return "now"
        case "start":
            return "first"
        case _ if start.isdecimal() and int(start) > 0:
            return int(start)
    raise ConfigError(f"--from {start}: give a number from 1 on, start or now")


def _print(item: Item, as_json: bool) -> None:
    match item:
        case Gap():
            typer.echo(f"messages {item.first} to {item.last} are lost: {item.reason}", err=True)
        case Renumbered():
            typer.echo(f"numbers begin anew: {item.reason}", err=True)
        case Silence():
            typer.echo(f"{item.endpoint}: nothing for {item.seconds:.1f} s: treat every part as reject", err=True)
        case _:
            print(encode(item).decode() if as_json else describe(item), flush=True)
