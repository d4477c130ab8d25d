"""`station schema`: print the JSON Schema of the configuration or of the messages. Main thread."""

import json
from typing import Annotated

import typer

from station import event
from station.config import Config

__all__ = ["schema"]


def schema(
    of_event: Annotated[bool, typer.Option("--event", help="The messages instead of the configuration.")] = False,
) -> None:
    """Print the JSON Schema of config.toml, or of the published messages."""
    typer.echo(json.dumps(event.schema() if of_event else Config.model_json_schema(), indent=2, ensure_ascii=False))
