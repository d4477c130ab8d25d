"""The configuration and the messages as JSON Schema and as Markdown pages, from the models themselves. Pure."""

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from station import event
from station.config import Config

__all__ = ["config_page", "config_schema", "event_page", "event_schema"]

Schema: TypeAlias = Mapping[str, Any]

_LIMITS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
_CONFIG_HEAD = """# Configuration reference

Made from the models by `make reference`; `station schema` prints the same as JSON Schema. Tables stand in the order of
the data. Every key can come from the environment: `STATION__ENGINE__THREADS=2`. An unknown key, a value out of its
limits or a contradiction ends the start with one line that names it.
"""
_EVENT_HEAD = """# Message reference

Made from the models by `make reference`; `station schema --event` prints the same as JSON Schema. Each message is one
JSON object, published with its topic in front. New keys may be added within a version: ignore what you do not know.
"""


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of config.toml."""
    return Config.model_json_schema()


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema of all messages, each field with its description."""
    schema = event.schema()
    for name, words in _field_docs().items():
        for field, description in words.items():
            schema["$defs"][name]["properties"][field]["description"] = description
    return schema


def config_page() -> str:
    """Return the reference of config.toml as Markdown."""
    schema = config_schema()
    told: set[str] = set()
    tables = (part for key, of in schema["properties"].items() for part in _describe_table(key, of, schema, told))
    return "\n".join([_CONFIG_HEAD, *tables])


def event_page() -> str:
    """Return the reference of the messages as Markdown, those with a topic first."""
    schema = event_schema()
    parts = [_EVENT_HEAD, (inspect.getdoc(event) or "").partition("\n\n")[2] + "\n"]
    for name, of in schema["$defs"].items():
        parts += [f"## {name}\n", _clean(of.get("description", "")) + "\n", *_rows(of), ""]
    return "\n".join(parts)


def _field_docs() -> dict[str, dict[str, str]]:
    """Return what stands below each field of the messages, by class and field."""
    docs: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(event)).body:
        if isinstance(node, ast.ClassDef):
            docs[node.name] = dict(_docs_of(node))
    return docs


def _docs_of(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, words in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(words, ast.Expr):
            assert isinstance(words.value, ast.Constant)
            yield field.target.id, inspect.cleandoc(str(words.value.value))


def _describe_table(path: str, of: Schema, whole: Schema, told: set[str]) -> Iterator[str]:
    """Yield the section of the table at `path` and, below it, those of its kinds and of the tables in it, once.

    `told` holds the paths, and the kinds, that have a section.
    """
    kinds = [_follow(kind, whole) for kind in _kinds(of)]
    if path in told or "properties" not in kinds[0]:
        return
    told.add(path)
    path = f"{path}.NAME" if "patternProperties" in of else path
    title = f"[[{path}]]" if of.get("type") == "array" else f"[{path}]"
    if len(kinds) > 1 and all(kind["title"] in told for kind in kinds):
        yield f"{_hashes(path)} `{title}`\n"
        yield f"Each with the keys of its type: {', '.join(map(_kind_name, kinds))}.\n"
        return
    shared = _shared(kinds)
    yield f"{_hashes(path)} `{title}`\n"
    yield from _section(kinds[0] if len(kinds) == 1 else {**kinds[0], **shared}, path, whole, told)
    for kind in kinds if len(kinds) > 1 else ():
        told.add(kind["title"])
        own = {key: value for key, value in kind["properties"].items() if key not in shared["properties"]}
        yield f"**{_kind_name(kind)}** {_clean(kind.get('description', ''))}\n"
        yield from _section({**kind, "properties": own, "description": ""}, path, whole, told)


def _hashes(path: str) -> str:
    """Return what stands before the title of the table at `path`."""
    return "#" * min(4, path.replace(".NAME", "").count(".") + 2)


def _section(kind: Schema, path: str, whole: Schema, told: set[str]) -> Iterator[str]:
    """Yield one kind of table: its words, its keys, then the tables in it."""
    if kind.get("description"):
        yield _clean(kind["description"]) + "\n"
    inner = {key: of for key, of in kind["properties"].items() if _is_table(of, whole)}
    plain = {key: of for key, of in kind["properties"].items() if key not in inner}
    if plain:
        yield from _rows({**kind, "properties": plain})
        yield ""
    for key, of in inner.items():
        yield from _describe_table(f"{path}.{key}", of, whole, told)


def _kinds(of: Schema) -> list[Schema]:
    """Return the models that may stand where `of` does, without null."""
    item = of.get("items", of) if of.get("type") == "array" else of
    if isinstance(more := item.get("additionalProperties"), dict):
        item = more
    item = next(iter(item.get("patternProperties", {}).values()), item)  # a table whose keys are names
    choices = item.get("anyOf") or item.get("oneOf") or [item]
    return [choice for choice in choices if choice.get("type") != "null"]


def _is_table(of: Schema, whole: Schema) -> bool:
    return all("properties" in _follow(kind, whole) for kind in _kinds(of))


def _follow(of: Schema, whole: Schema) -> Schema:
    return whole["$defs"][of["$ref"].rpartition("/")[2]] if "$ref" in of else of


def _shared(kinds: list[Schema]) -> dict[str, Any]:
    """Return a model of the properties that all of `kinds` have alike."""
    first, *others = (kind["properties"] for kind in kinds)
    return {
        "description": "",
        "properties": {key: value for key, value in first.items() if all(other.get(key) == value for other in others)},
    }


def _kind_name(kind: Schema) -> str:
    for key in ("type", "backend"):
        if "const" in (tag := kind["properties"].get(key, {})):
            return f'`{key} = "{tag["const"]}"`'
    return str(kind["title"])


def _rows(of: Schema) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    required = of.get("required", ())
    for key, value in of["properties"].items():
        default = "required" if key in required else _literal(value["default"]) if "default" in value else ""
        yield f"| `{key}` | {_kind_of(value)} | {default} | {_clean(value.get('description', ''))} |"


def _kind_of(value: Schema) -> str:
    """Return what may stand there, in a few words."""
    if "const" in value:
        return _literal(value["const"])
    if "enum" in value:
        return " \\| ".join(map(_literal, value["enum"]))
    if "$ref" in value:
        return str(value["$ref"].rpartition("/")[2])
    if choices := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind_of(choice) for choice in choices if choice.get("type") != "null"))
    if value.get("type") == "array":
        parts = value.get("prefixItems")
        return f"[{', '.join(map(_kind_of, parts))}]" if parts else f"list of {_kind_of(value.get('items', {}))}"
    if isinstance(more := value.get("additionalProperties"), dict):
        return f"table of {_kind_of(more)}"
    limits = [words.format(_literal(value[key])) for key, words in _LIMITS.items() if key in value]
    return ", ".join([str(value.get("type", "any")), *limits])


def _literal(value: object) -> str:
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _clean(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")
