"""The client of a station as a command's options name it. Main thread."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from shadowline.errors import StationError
from station.client import Client, Item, Silence
from station.command.peer import find_peer

__all__ = ["JournalEndpoint", "open_client", "until_caught_up"]

JournalEndpoint: TypeAlias = Annotated[
    str | None, typer.Option("--journal-endpoint", help="Where its journal is, if not as in the file.")
]


def open_client(
    config: Path,
    endpoint: str | None,
    journal: str | None,
    keys: Path | None,
    start: int | Literal["first", "now"],
    consumer: str | None = None,
) -> Client:
    """Return the client of the station that `config` describes, or of that at `endpoint` and `journal`; not connected.

    Raises `ConfigError`, also where the station keeps no journal, and `KeysError`.
    """
    live, replay = find_peer("publish", config, endpoint, keys), find_peer("journal", config, journal, keys)
    return Client(live, replay, start=start, consumer=consumer)


def until_caught_up(client: Client) -> Iterator[Item]:
    """Yield items up to the newest that is known to be in the journal.

    Raises `StationError` where the journal gives no more.
    """
    while not client.caught_up:
        item = client.receive()
        if isinstance(item, Silence):
            raise StationError(f"{item.endpoint}: nothing came for {item.seconds:.1f} s: is the station still there?")
        if item is not None:
            yield item
