"""Options that several commands share. Pure."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["AsJson", "ConfigFile"]

ConfigFile: TypeAlias = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
