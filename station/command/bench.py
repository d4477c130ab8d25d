"""`station bench`: measure this computer. Main thread; the measured line runs in a process of its own."""

import json

import typer

from station.command.options import AsJson

__all__ = ["bench"]


def bench(as_json: AsJson = False) -> None:
    """Measure regions, network, events and the whole line on this computer; takes about three minutes."""
    from station.bench.suite import measure, show  # loads kernels and network: only when called

    figures = measure()
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        show(figures)
