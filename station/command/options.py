"""Options that several commands share. Pure."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["AsJson", "ConfigFile", "Endpoint", "KeyFolder"]

ConfigFile: TypeAlias = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Endpoint: TypeAlias = Annotated[
    str | None, typer.Option("--endpoint", help="Where the station is, if not as in the file.")
]
KeyFolder: TypeAlias = Annotated[
    Path | None, typer.Option("--keys", help="Folder of keys, if not that of the file.", show_default=False)
]
