"""The pages of the settings: tables, text and history. FastAPI's threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field

from shadowline.errors import ConfigError
from station.console.settings import calibrate, recipes
from station.console.settings.applying import ConfigFile, sha_of
from station.console.settings.bodies import Body, Words
from station.console.settings.editing import Fault, add_table, change, check, diff, faults_of, values_of
from station.console.settings.forms import Form, forms_of
from station.console.settings.steps import Steps
from station.console.settings.versions import Versions
from station.console.web import Console, Person, Role, console_of, page, require
from station.control_protocol import Reload, Reloaded, ask

__all__ = ["SettingsService", "open_settings", "router"]

router = APIRouter(prefix="/settings")
router.include_router(calibrate.router)
router.include_router(recipes.router)

_RELOAD_S: Final = 10.0
_SILENT_S: Final = 1.0
"""For a station that is not heard: one that hears all the same must still be told."""
_TOP: Final = ("recipe",)
"""Tables of the file that hold one table a name and may be begun here."""

Engineer = Annotated[Person, Depends(require(Role.ENGINEER))]
Operator = Annotated[Person, Depends(require(Role.OPERATOR))]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Text(Body):
    """A text of `config.toml`."""

    text: Words


class _Apply(_Text):
    """A text, and the hash of the one that it takes the place of."""

    base: Sha


class _Changes(_Text):
    """What a form changed in a text: the ids of its fields, and what a person wrote there."""

    fields: Annotated[dict[Words, Words], Field(max_length=1000)]


class _Addition(_Text):
    """A table to begin in a text, below the table `where`; at the top where that is empty."""

    where: Words
    key: Words
    name: Annotated[Words, Field(min_length=1, max_length=64)]


class _Undo(Body):
    """The version to put back, and the hash of the text that it takes the place of."""

    version: Annotated[int, Field(ge=1, lt=2**63)]
    base: Sha


@dataclass(frozen=True, slots=True)
class _Checked:
    """What is to be known of a text before it is applied."""

    text: str
    faults: list[Fault]
    diff: list[str]
    restart: str = ""
    """Why the station must start anew for it; empty where it holds from the next frame on."""


@dataclass(frozen=True, slots=True)
class SettingsService:
    """What lives as long as the console."""

    file: ConfigFile
    steps: Steps


@contextmanager
def open_settings(console: Console) -> Iterator[SettingsService]:
    """Yield the configuration file with its history, and what calibrates."""
    path = console.config_file.absolute()
    endpoint, keys = console.control

    def reload() -> Reloaded:
        return ask(endpoint, Reload(), _RELOAD_S if console.feed.online else _SILENT_S, keys)

    with Steps(path) as steps:
        yield SettingsService(ConfigFile(path, Versions(console.database), reload), steps)


@router.get("")
def _show(request: Request, person: Operator) -> Response:
    """Show the tables as forms; an operator gets the recipes."""
    if person.role < Role.ENGINEER:
        return RedirectResponse("/settings/recipes", 303)
    file = _file(request)
    text = file.read()
    forms: list[Form] = []
    faults: list[Fault] = []
    try:
        forms = _forms(file, text)
    except ConfigError as fault:
        faults = faults_of(fault, file.path, ())
    return page(
        *(request, "settings.html", person),
        texts=["settings."],
        forms=forms,
        faults=faults,
        text=text,
        base=sha_of(text),
        file=file.path.name,
    )


@router.post("/check")
def _check_text(request: Request, person: Engineer, told: _Text) -> Response:
    """Return what is wrong with a text, and what applying it would change."""
    return _json(_checked(_file(request), told.text))


@router.post("/change")
def _change_fields(request: Request, person: Engineer, told: _Changes) -> Response:
    """Return the text with what a form changed, and what is to be known of it."""
    file = _file(request)
    forms = _forms(file, file.read())
    fields = {field.id: field for form in forms for field in form.fields}
    if strangers := told.fields.keys() - fields.keys():
        raise HTTPException(422, f"{min(strangers)[:80]}: no such key: load the page again")
    changes = [(fields[one], written) for one, written in told.fields.items()]
    return _changed(file, told.text, lambda: change(told.text, changes), forms)


@router.post("/add")
def _add(request: Request, person: Engineer, told: _Addition) -> Response:
    """Return the text with an empty table more: a rule of a label, a recipe."""
    file = _file(request)
    forms = _forms(file, file.read())
    above = {form.where: form.place for form in forms if told.key in form.named}
    if told.key in _TOP:
        above[""] = ()
    if told.where not in above:
        raise HTTPException(422, "no such table: load the page again")
    place = (*above[told.where], told.key, told.name)
    return _changed(file, told.text, lambda: add_table(told.text, place), forms)


@router.post("/apply")
def _apply_text(request: Request, person: Engineer, told: _Apply) -> Response:
    """Put a text in place of the file, and say what the station made of it."""
    return _apply(request, person, told.text, told.base, "settings.apply")


@router.get("/history")
def _history(request: Request, person: Engineer) -> HTMLResponse:
    """Show what was applied when and by whom."""
    file = _file(request)
    versions, base = file.versions.newest(), sha_of(file.read())
    return page(request, "settings_history.html", person, texts=["settings."], versions=versions, base=base)


@router.get("/history/{number}")
def _show_version(request: Request, person: Engineer, number: Annotated[int, Path(ge=1, lt=2**63)]) -> Response:
    """Return a version, and what putting it back would change."""
    file = _file(request)
    return _json(_checked(file, _version(file, number)))


@router.post("/undo")
def _undo(request: Request, person: Engineer, told: _Undo) -> Response:
    """Put an older version in place of the file."""
    return _apply(request, person, _version(_file(request), told.version), told.base, "settings.undo")


def _apply(request: Request, person: Person, text: str, base: str, action: str) -> Response:
    file = _file(request)
    try:
        applied = file.apply(text, base, person.name)
    except ConfigError as fault:
        raise HTTPException(422, str(fault)) from None
    console_of(request).audit.write(person, action, file.path.name, f"{applied.outcome}: {applied.words}")
    return _json(applied)


def _changed(file: ConfigFile, before: str, make: Callable[[], str], forms: list[Form]) -> Response:
    """Return what is to be known of the text that `make` makes of `before`, or why it can't."""
    try:
        return _json(_checked(file, make()))
    except ConfigError as fault:
        return _json(_Checked(before, faults_of(fault, file.path, _places(forms)), []))


def _file(request: Request) -> ConfigFile:
    service: SettingsService = request.app.state.settings
    return service.file


def _forms(file: ConfigFile, text: str) -> list[Form]:
    """Return the tables of `text`. Raises `ConfigError` where it is no configuration."""
    return forms_of(check(text, file.path), values_of(text))


def _places(forms: list[Form]) -> list[str]:
    return [form.where for form in forms] + [field.where for form in forms for field in form.fields]


def _checked(file: ConfigFile, text: str) -> _Checked:
    """Return what is to be known of `text` before it takes the place of the file."""
    changed = diff(file.read(), text)
    try:
        return _Checked(text, [], changed, file.needs_restart(text))
    except ConfigError as fault:
        return _Checked(text, faults_of(fault, file.path, _known_places(file)), changed)


def _known_places(file: ConfigFile) -> list[str]:
    """Return the places that the page shows: those of the file as it is."""
    try:
        return _places(_forms(file, file.read()))
    except ConfigError:
        return []


def _version(file: ConfigFile, number: int) -> str:
    found = file.versions.of(number)
    if found is None:
        raise HTTPException(404, "there is no such version any more")
    return found.text


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
