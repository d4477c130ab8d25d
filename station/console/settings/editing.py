"""Changes to the text of `config.toml`, its faults by place, and what differs between two texts. Pure.

The text is the source: what a form changes is put in place of the old value, comments and order stay.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError

from shadowline.errors import ConfigError
from station.config import Config
from station.config_file import parse
from station.console.settings.forms import Field, Place

__all__ = ["Fault", "add_table", "change", "check", "diff", "faults_of", "values_of"]

_LINE: Final = re.compile(r"at line (\d+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: the `where` of a field or form, or a line of the text, or neither."""

    words: str
    where: str = ""
    line: int | None = None


def values_of(text: str) -> dict[str, Any]:
    """Return what stands in `text`. Raises `ConfigError` where it is no TOML."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise ConfigError(f"no TOML: {fault}") from None


def check(text: str, path: Path) -> Config:
    """Return the configuration that `text` is, as the file at `path`. Raises `ConfigError` as loading it does."""
    return parse(values_of(text), path)


def faults_of(error: ConfigError, path: Path, places: Iterable[str]) -> list[Fault]:
    """Return the faults that `error` tells of the file at `path`, each at one of `places` where it belongs to one."""
    known = sorted(places, key=len, reverse=True)
    return [_fault(line.removeprefix(f"{path}: "), known) for line in str(error).splitlines()]


def change(text: str, changes: Sequence[tuple[Field, str]]) -> str:
    """Return `text` with each field as a person wrote it; an empty one is taken out, so that its default holds.

    Raises `ConfigError` for what is no value of the field's kind.
    """
    document = _document(text)
    for field, written in changes:
        table = _table(document, field.place[:-1], make=bool(written.strip()))
        if table is None:
            continue
        if written.strip():
            table[field.name] = _value(field, written.strip())
        elif field.name in table:
            del table[field.name]
    return tomlkit.dumps(document)


def add_table(text: str, place: Place) -> str:
    """Return `text` with an empty table at `place`. Raises `ConfigError` where there is one already."""
    document = _document(text)
    parent = _table(document, place[:-1], make=True)
    if parent is None or str(place[-1]) in parent:
        raise ConfigError(f"{place[-1]}: there is one already")
    parent[str(place[-1])] = tomlkit.table()
    return tomlkit.dumps(document)


def diff(old: str, new: str) -> list[str]:
    """Return the lines that differ, with a little around them, each with ` `, `-`, `+` or `@` before it."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2)
    return [line for line in lines if not line.startswith(("---", "+++"))]


def _fault(words: str, known: Sequence[str]) -> Fault:
    for where in known:
        if words.startswith(f"{where}: "):
            return Fault(words[len(where) + 2 :], where)
    line = _LINE.search(words)
    return Fault(words, "", int(line[1]) if line else None)


def _document(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, RecursionError) as fault:
        raise ConfigError(f"no TOML: {fault}") from None


def _table(document: Any, place: Place, make: bool) -> Any:
    """Return the table at `place`, made where it is missing if wanted; None where it is not there.

    Raises `ConfigError` where something else stands in its place.
    """
    table = document
    for part in place:
        if isinstance(part, int):
            table = table[part] if isinstance(table, list) and part < len(table) else None
        elif part in table:
            table = table[part]
        elif make:
            table[part] = tomlkit.table(is_super_table=True)
            table = table[part]
        else:
            return None
        if not isinstance(table, MutableMapping | list):
            raise ConfigError(f"{part}: the text has something else there: change it as text")
    if not isinstance(table, MutableMapping):
        raise ConfigError(f"{place[-1]}: the text has something else there: change it as text")
    return table


def _value(field: Field, written: str) -> Any:
    """Return what `written` means for the field. Raises `ConfigError`."""
    try:
        match field.kind:
            case "number":
                return float(written)
            case "integer":
                return int(written)
            case "switch":
                return {"true": True, "false": False}[written]
            case "choice":
                return int(written) if written.isdecimal() else written
            case "text":
                return written
            case "toml":
                return tomlkit.value(written)
    except (ValueError, KeyError, TOMLKitError):
        raise ConfigError(f"{field.where}: {written!r} is no {field.kind}") from None
