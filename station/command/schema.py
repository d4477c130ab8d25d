"""`station schema`: print the schema of the configuration or of the messages. Main thread."""

import json
from typing import Annotated

import typer

from station.reference import config_page, config_schema, event_page, event_schema

__all__ = ["schema"]


def schema(
    of_event: Annotated[bool, typer.Option("--event", help="The messages instead of the configuration.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a page to read.")] = False,
) -> None:
    """Print the JSON Schema of config.toml, or of the published messages."""
    if markdown:
        typer.echo(event_page() if of_event else config_page(), nl=False)
    else:
        typer.echo(json.dumps(event_schema() if of_event else config_schema(), indent=2, ensure_ascii=False))
