"""What every table of `config.toml` is made of. Pure."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["ConfigPath", "Name", "Table", "folder"]

folder: ContextVar[Path] = ContextVar("folder of the file being read", default=Path())

ConfigPath: TypeAlias = Annotated[Path, AfterValidator(lambda path: folder.get() / path)]
"""A path; when relative it starts at the folder of config.toml."""

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class Table(BaseModel):
    """A table of the file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
