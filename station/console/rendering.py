"""The templates of the pages, and which version of scripts and styles they name. Pure."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from station.console.people import Role

__all__ = ["open_templates"]

_HERE = Path(__file__).parent
_NAVIGATION: Final = (
    ("live", Role.VIEWER, "l"),
    ("strip", Role.VIEWER, "s"),
    ("try", Role.OPERATOR, "t"),
    ("teach", Role.OPERATOR, "c"),
    ("settings", Role.OPERATOR, "e"),
    ("people", Role.ENGINEER, "p"),
)
"""Each page of the bar: its place, who sees it, and the key that leads there after `g`."""


def open_templates(folder: Path = _HERE / "templates", static: Path = _HERE / "static") -> Environment:
    """Return the templates; a name that one uses and nobody gave is an error."""
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, auto_reload=False
    )
    environment.globals.update(version=_version(static), navigation=_NAVIGATION)
    environment.filters["utc"] = _utc
    return environment


def _utc(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(" ", "seconds")


def _version(folder: Path) -> str:
    """Return what differs when a file below `folder` does."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
