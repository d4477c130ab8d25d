"""`station doctor`: what this computer has and what is missing, for a person or a bug report. Main thread."""

import json
import logging
from pathlib import Path

import typer
from rich.console import Console

from station.command.options import AsJson, ConfigFile
from station.doctor import Check, as_table, draw, draw_sum, examine, worst

__all__ = ["doctor"]


def doctor(config: ConfigFile = Path("config.toml"), as_json: AsJson = False) -> None:
    """Check this computer and the configuration, and say what mends each fault; exit code 1 when there is one."""
    logging.disable(logging.WARNING)  # what others would log is a line of the report
    checks = list(examine(config)) if as_json else _show(config)
    if as_json:
        typer.echo(json.dumps(as_table(checks), indent=2, ensure_ascii=False))
    if worst(checks) == "fault":
        raise typer.Exit(1)


def _show(config: Path) -> list[Check]:
    """Print each check when it is done: loading a network runtime takes seconds."""
    console = Console(highlight=False, soft_wrap=True)
    checks = []
    for check in examine(config):
        console.print(draw(check, console.width))
        checks.append(check)
    console.print(draw_sum(checks))
    return checks
