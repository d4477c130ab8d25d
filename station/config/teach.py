"""The table `[console.teach]`. Pure."""

from typing import Annotated

from pydantic import Field

from station.config.table import ConfigPath, Table

__all__ = ["TeachConfig"]


class TeachConfig(Table):
    """Which pictures are asked about, and what a training starts from."""

    low_confidence: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Regions named with less are asked about before others."""
    audit_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the archive's confident regions of passing frames that is asked about as well."""
    newest: Annotated[int, Field(ge=1, le=100_000)] = 5000
    """Pieces of evidence that are looked through, the newest."""
    base_data: ConfigPath | None = None
    """Folder of pictures, one folder a class, that trainings may learn from beside the reviewed ones."""
    recipe: ConfigPath | None = None
    """Recipe (TOML) of `station train fit` that trainings may take beside the two that come with the console."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of a training; it runs with the lowest priority."""
