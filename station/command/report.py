"""`station report`: what was inspected of a coil, and what was found. Main thread."""

from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from calibration.periodic import Roll
from shadowline.errors import ConfigError
from station.client import Client, Peer
from station.command.options import ConfigFile, Endpoint, KeyFolder
from station.command.peer import connect, find_peer
from station.command.stream import JournalEndpoint, open_client, until_caught_up
from station.config import Config
from station.config_file import load
from station.event import Message, Numbered
from station.report import CoilRecord, CoilReport, hear_messages, make_report, read_messages, write_report

__all__ = ["report"]


def report(
    coil: Annotated[str, typer.Argument(help="Number or name of the coil, as it was begun.")],
    events: Annotated[
        Path | None, typer.Option(help="File of events: what `station watch --json` printed, a line each.")
    ] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="Listen to the running station until the coil ends.")
    ] = False,
    journal: Annotated[
        bool, typer.Option("--journal", help="Take all that the station's journal has, from the oldest to the newest.")
    ] = False,
    first: Annotated[
        int | None, typer.Option(min=1, help="With --journal: begin at this message, a little before the coil.")
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="With --journal: end with this message.")] = None,
    folder: Annotated[Path, typer.Option("--to", help="Folder for the report's three files.")] = Path(),
    endpoint: Endpoint = None,
    journal_endpoint: JournalEndpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Write the report of a coil: HTML to read, CSV of its defects, JSON of all figures.

    Rolls are those of [[line.rolls]] in the configuration. With --listen, Ctrl-C ends the listening and writes what is
    there. Exit code 1 when some of the coil was not inspected.
    """
    if [events is not None, listen, journal].count(True) != 1:
        raise ConfigError(
            "name a file with --events, or listen with --listen, or ask the journal with --journal: one of the three"
        )
    settings = load(config) if config.exists() or (events is None and endpoint is None) else None
    record = CoilRecord(coil, {camera.name: camera.reach_mm for camera in settings.camera} if settings else {})
    messages: Iterator[Message | None]
    if events is not None:
        messages = read_messages(events)
    elif journal:
        messages = _read_journal(open_client(config, endpoint, journal_endpoint, keys, first or "first"), last)
    else:
        messages = _listen(find_peer("publish", config, endpoint, keys), record)
    with suppress(KeyboardInterrupt):
        for message in messages:
            record.take(message)
    made = make_report(record, _rolls(settings))
    written = write_report(made, {name: camera.defects for name, camera in sorted(record.cameras.items())}, folder)
    _tell(made, written)
    if made.length_mm - made.inspected_mm >= 0.5:
        raise typer.Exit(1)


def _read_journal(client: Client, last: int | None) -> Iterator[Message]:
    """Yield all that the journal has, up to number `last`; what it lacks is seen from the numbers."""
    with client:
        for item in until_caught_up(client):
            if isinstance(item, Numbered):
                if last is not None and item.event > last:
                    return
                yield item


def _listen(peer: Peer, record: CoilRecord) -> Iterator[Message | None]:
    """Yield what the station publishes until the coil has ended."""
    endpoint, heard = peer.endpoint, False
    with closing(hear_messages(partial(connect, peer=peer))) as messages:
        typer.echo(f"waiting for the station at {endpoint}", err=True)
        for message in messages:
            if not heard:
                heard = True
                typer.echo(f"listening to {endpoint} until coil {record.coil} ends", err=True)
            yield message
            if record.ended:
                return


def _rolls(settings: Config | None) -> list[Roll]:
    return [Roll(roll.name, roll.diameter_mm) for roll in settings.line.rolls] if settings else []


def _tell(made: CoilReport, written: list[Path]) -> None:
    missed_mm = made.length_mm - made.inspected_mm
    typer.echo(f"coil {made.coil}: {made.length_mm / 1e3:.3f} m, of which {missed_mm / 1e3:.3f} m not inspected")
    for label, count in made.defects.items():
        typer.echo(f"  {count} {label}")
    for repeat in made.repeats:
        rolls = " or ".join(repeat.rolls) or "no roll of the configuration"
        typer.echo(f"  {repeat.marks} marks every {repeat.distance_mm:.2f} mm: {rolls}")
    for note in made.notes:
        typer.echo(f"  {note}")
    for path in written:
        typer.echo(path)
