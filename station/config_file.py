"""Read `config.toml` and the environment `STATION__…` into a `Config`; say every fault in one line. Main thread."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings.exceptions import SettingsError

from shadowline.errors import ConfigError
from station.config import Config, Table, folder

__all__ = ["load", "name_place", "parse"]

_TAGS = {
    *("simulated", "replay", "aravis", "gentl", "basler", "opencv", "python"),
    *("onnx_runtime", "tensor_rt", "auto", "fake"),
    *("chunk", "modbus", "zeromq", "speed"),
    *("opcua", "modbus", "s7", "mqtt"),
    *("shadow", "heatmap", "anomaly", "detector", "combine"),
}
"""Names of union members, which pydantic puts into the place of a fault."""


def load(path: Path) -> Config:
    """Read and check the file at `path` with the environment on top.

    Relative paths in the file start at its folder. Raises `ConfigError` with every fault, a line each.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; name one with --config") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return parse(values, path)


def parse(values: dict[str, Any], path: Path) -> Config:
    """Check `values` as if they stood in the file at `path`; the environment wins over them."""
    _refuse_unknown_variables()
    token = folder.set(path.absolute().parent)
    try:
        return Config(**values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        told = [_explain(fault, values, path) for fault in faults if not _follows(fault, faults)]
        raise ConfigError("\n".join(dict.fromkeys(told))) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}; a list or table in a variable is written as JSON") from None
    finally:
        folder.reset(token)


def _refuse_unknown_variables() -> None:
    for variable in os.environ:
        if not variable.startswith("STATION__"):
            continue
        table = variable.removeprefix("STATION__").split("__")[0].lower()
        if table not in Config.model_fields:
            known = ", ".join(Config.model_fields)
            raise ConfigError(f"environment {variable}: no table [{table}]; there are {known}")


def _follows(fault: ErrorDetails, faults: Sequence[ErrorDetails]) -> bool:
    """Tell whether a list is too short only because what stands in it has faults."""
    place = fault["loc"]
    return fault["type"] == "too_short" and any(
        other["loc"][: len(place)] == place for other in faults if other is not fault
    )


def _explain(fault: ErrorDetails, values: dict[str, Any], path: Path) -> str:
    """Put one fault of pydantic as `where: [table] key: what`, with the nearest known key for an unknown one."""
    place = [part for part in fault["loc"] if part not in _TAGS]
    where = name_place(place)
    if fault["type"] == "missing":
        return f"{path}: {where}: missing"
    source = str(path) if _stands_in(values, place) else "environment"
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), _known_keys() - {str(place[-1])}, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"{source}: {where}: unknown key{hint}"
    got = "" if isinstance(fault["input"], dict | list | tuple | Config) else f" (is {fault['input']!r})"
    what = fault["msg"].removeprefix("Value error, ") + got
    return ": ".join(part for part in (source, where, what) if part)


def name_place(place: list[int | str]) -> str:
    """Turn ('camera', 1, 'rate_hz') into '[[camera]] number 2 rate_hz'."""
    if not place:
        return ""
    table, keys = f"[{place[0]}]", place[1:]
    if place[0] in ("gateway", "recipe") and keys:
        table, keys = f"[{place[0]}.{keys[0]}]", keys[1:]
    for depth, name in ((1, "camera"), (2, "regions.finders")):
        if ".".join(map(str, place[:depth])) == name and isinstance(number := (*place, "")[depth], int):
            table, keys = f"[[{name}]] number {number + 1}", place[depth + 1 :]
    return f"{table} {'.'.join(map(str, keys))}".strip()


def _stands_in(values: Any, place: list[int | str]) -> bool:
    for part in place:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _known_keys() -> set[str]:
    tables: list[type[BaseModel]] = [Config, *_kinds_of(Table)]
    return {key for table in tables for key in table.model_fields}


def _kinds_of(table: type[Table]) -> Iterator[type[Table]]:
    """Yield every class below `table`."""
    for kind in table.__subclasses__():
        yield kind
        yield from _kinds_of(kind)
