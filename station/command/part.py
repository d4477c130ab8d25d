"""`station part` and `station job`: tell a running station what its pictures are of. Main thread."""

from pathlib import Path
from typing import Annotated

import typer

from station.command.options import ConfigFile, Endpoint, KeyFolder
from station.command.peer import find_control
from station.control_protocol import Job, Part, ask

__all__ = ["job", "part"]

_CONFIG = Path("config.toml")


def part(
    part_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the part, as events carry it; '' ends it.")],
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = _CONFIG,
) -> None:
    """Begin a part: pictures that are taken from now on carry its id."""
    peer = find_control(config, endpoint, keys)
    ask(peer.endpoint, Part(part_id), keys=peer.keys)
    typer.echo(f"part {part_id} begins" if part_id else "no part")


def job(
    job_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the job or order, as events carry it; '' ends it.")
    ],
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    config: ConfigFile = _CONFIG,
) -> None:
    """Begin a job: pictures that are taken from now on carry its id."""
    peer = find_control(config, endpoint, keys)
    ask(peer.endpoint, Job(job_id), keys=peer.keys)
    typer.echo(f"job {job_id} begins" if job_id else "no job")
