"""The command group `station train`, put together from its parts."""

import typer

from training.command import finders, fit, labels, measure  # modules, each with its commands
from training.command_data import data_app

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train, measure and export the networks that name regions.")
app.add_typer(data_app, name="data")
for part in (fit, measure, labels, finders):
    part.mount(app)
