"""The tables of `config.toml` as forms, made from the models that check it. Pure.

What a table may hold follows from what stands in it now: the type of a camera or of an engine decides which keys there
are. What is not there yet (an encoder, another camera) is begun in the text.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeAlias

import tomlkit
from pydantic import BaseModel

from station.config import Config
from station.config_file import name_place
from station.reload import may_change

__all__ = ["Field", "Form", "Place", "forms_of"]

Place: TypeAlias = tuple[int | str, ...]
Kind: TypeAlias = Literal["number", "integer", "switch", "choice", "text", "toml"]

_UNITS: Final = {
    "us": "µs",
    "ms": "ms",
    "s": "s",
    "days": "d",
    "hz": "Hz",
    "px": "px",
    "mm": "mm",
    "mb": "MB",
    "mib": "MiB",
    "frames": "frames",
    "rows": "rows",
    "levels": "levels",
    "sigmas": "sigma",
}
_PLAIN: Final = {"number": "number", "integer": "integer", "boolean": "switch", "string": "text"}


@dataclass(frozen=True, slots=True)
class Field:
    """One key. `text` is what stands in the file, empty where nothing does and `default` holds."""

    place: Place
    kind: Kind
    unit: str
    doc: str
    least: str
    most: str
    choices: tuple[str, ...]
    default: str
    text: str
    live: bool
    """Whether it may change while the line runs."""

    @property
    def id(self) -> str:
        """What a page calls it."""
        return json.dumps(self.place, separators=(",", ":"))

    @property
    def name(self) -> str:
        """Its key."""
        return str(self.place[-1])

    @property
    def where(self) -> str:
        """What faults call it."""
        return name_place(list(self.place))

    @property
    def changed(self) -> bool:
        """Whether the file says something else than the default."""
        return self.text not in ("", self.default)


@dataclass(frozen=True, slots=True)
class Form:
    """One table."""

    place: Place
    doc: str
    fields: tuple[Field, ...] = ()
    absent: tuple[str, ...] = ()
    """Tables that may stand in it and do not."""
    named: tuple[str, ...] = ()
    """Tables in it that hold one table a name: a rule a label, a recipe a product."""

    @property
    def where(self) -> str:
        """What the file and faults call it."""
        return name_place(list(self.place))


def forms_of(config: Config, document: Mapping[str, Any]) -> list[Form]:
    """Return the tables of `config`, in its order; `document` is the file that it was made of."""
    forms: list[Form] = []
    for name, about in Config.model_fields.items():
        forms += _walk((name,), getattr(config, name), document.get(name), about.description or "")
    return forms


def _walk(place: Place, value: Any, given: Any, doc: str) -> Iterator[Form]:
    """Yield the form of the table at `place` and those of the tables in it."""
    if isinstance(value, BaseModel):
        yield from _table(place, value, given if isinstance(given, Mapping) else {}, doc)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _walk((*place, key), one, (given or {}).get(key), doc)
    elif isinstance(value, tuple):
        for number, one in enumerate(value):
            yield from _walk((*place, number), one, given[number] if given else None, doc)


def _table(place: Place, value: BaseModel, given: Mapping[str, Any], doc: str) -> Iterator[Form]:
    schema = _schema(type(value))
    inner = [key for key, of in schema.items() if "$ref" in json.dumps(of)]
    fields = tuple(
        _field((*place, key), of, given.get(key))
        for key, of in schema.items()
        if key not in inner and "const" not in of
    )
    named = tuple(key for key in inner if isinstance(getattr(value, key), Mapping))
    absent = tuple(key for key in inner if not getattr(value, key) and key not in named)
    yield Form(place, _plain(type(value).__doc__ or doc), fields, absent, named)
    for key in inner:
        yield from _walk((*place, key), getattr(value, key), given.get(key), "")


@cache
def _schema(model: type[BaseModel]) -> Mapping[str, Mapping[str, Any]]:
    """Return the keys of a table; what the JSON Schema does not name is not among them."""
    properties: Mapping[str, Mapping[str, Any]] = model.model_json_schema().get("properties", {})
    return properties


def _field(place: Place, of: Mapping[str, Any], given: Any) -> Field:
    kind, least, most, choices = _shape(of)
    return Field(
        place=place,
        kind=kind,
        unit=_unit(str(place[-1])),
        doc=_plain(str(of.get("description", ""))),
        least=least,
        most=most,
        choices=choices,
        default=_text(kind, of.get("default")),
        text=_text(kind, given),
        live=may_change(place),
    )


def _plain(words: str) -> str:
    """Return a docstring as one line without marks."""
    return " ".join(words.split()).replace("`", "")


def _unit(key: str) -> str:
    """Return the unit that stands in the name of a key; of a rate, one over it."""
    name, _, unit = key.rpartition("_")
    word = _UNITS.get(unit, "") if name else ""
    return f"1/{word}" if name.endswith("_per") else word


def _shape(of: Mapping[str, Any]) -> tuple[Kind, str, str, tuple[str, ...]]:
    """Return how a key is asked for: its kind, bounds and choices; `toml` for what is no single plain value."""
    options: Sequence[Mapping[str, Any]] = [one for one in of.get("anyOf", [of]) if one.get("type") != "null"]
    if len(options) != 1:
        return "toml", "", "", ()
    one = options[0]
    if "enum" in one:
        return "choice", "", "", tuple(str(choice) for choice in one["enum"])
    kind: Any = _PLAIN.get(str(one.get("type")), "toml")
    least = f"> {one['exclusiveMinimum']:g}" if "exclusiveMinimum" in one else _bound("≥", one.get("minimum"))
    most = f"< {one['exclusiveMaximum']:g}" if "exclusiveMaximum" in one else _bound("≤", one.get("maximum"))
    return kind, least, most, ()


def _bound(sign: str, value: float | None) -> str:
    return "" if value is None else f"{sign} {value:.12g}"


def _text(kind: Kind, value: Any) -> str:
    """Return a value as a person writes it into the form."""
    if value is None:
        return ""
    if kind == "switch":
        return "true" if value else "false"
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update(value)
        return str(table.as_string())
    if kind == "toml":
        return str(tomlkit.item(value).as_string())
    if kind == "number":
        return repr(float(value)) if abs(float(value)) < 1e15 else str(value)
    return str(value)
