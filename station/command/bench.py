"""`station bench`: measure this computer. Main thread; the measured line runs in a process of its own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from station.command.options import AsJson

__all__ = ["bench"]


def bench(
    finder: Annotated[Path | None, typer.Option(help="A finder file, whose region step is measured as well.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure regions, network, events and the whole line on this computer; takes about three minutes."""
    from station.bench.suite import measure, show  # loads kernels and network: only when called

    figures = measure(finder)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        show(figures)
