"""The pages about people: oneself, everybody, and who did what. FastAPI's threads."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from shadowline.errors import StationError
from station.console.audit import Entry
from station.console.people import LANGUAGES, THEMES, role_of
from station.console.web import Person, Role, console_of, page, require, session_of

__all__ = ["router"]

router = APIRouter(prefix="/people")

_PAGE = 100

_Words = Annotated[str, Form(max_length=512)]
_Anybody = Annotated[Person, Depends(require(Role.VIEWER))]
_Engineer = Annotated[Person, Depends(require(Role.ENGINEER))]


@router.get("")
def _everybody(request: Request, person: _Engineer, saved: bool = False) -> HTMLResponse:
    """Show who is let in."""
    return page(request, "people.html", person, people=console_of(request).people.all(), saved=saved)


@router.post("/add")
def _add(request: Request, person: _Engineer, name: _Words = "", role: _Words = "", password: _Words = "") -> Response:
    """Let somebody in."""
    console = console_of(request)
    added = console.people.add(name, role_of(role), password)
    console.audit.write(person, "people.add", added.name, role)
    return RedirectResponse("/people?saved=1", 303)


@router.post("/role")
def _set_role(request: Request, person: _Engineer, name: _Words = "", role: _Words = "") -> Response:
    """Give somebody another role, from their next request on."""
    console = console_of(request)
    console.people.set_role(name, role_of(role))
    console.audit.write(person, "people.role", name, role)
    return RedirectResponse("/people?saved=1", 303)


@router.post("/password")
def _set_password(request: Request, person: _Engineer, name: _Words = "", password: _Words = "") -> Response:
    """Give somebody another password, and end their logins."""
    console = console_of(request)
    console.people.set_password(name, password)
    console.sessions.end_all(name)
    console.audit.write(person, "people.password", name)
    return RedirectResponse("/people?saved=1", 303)


@router.post("/remove")
def _remove(request: Request, person: _Engineer, name: _Words = "") -> Response:
    """Let somebody in no more, from now on."""
    console = console_of(request)
    console.people.remove(name)
    console.audit.write(person, "people.remove", name)
    return RedirectResponse("/people?saved=1", 303)


@router.get("/me")
def _myself(request: Request, person: _Anybody, saved: bool = False) -> HTMLResponse:
    """Show one's own language, theme and password."""
    return page(request, "me.html", person, languages=LANGUAGES, themes=THEMES, saved=saved)


@router.post("/me/looks")
def _set_looks(request: Request, person: _Anybody, language: _Words = "", theme: _Words = "") -> Response:
    """Change one's own language and theme."""
    console_of(request).people.set_looks(person.name, language, theme)
    return RedirectResponse("/people/me?saved=1", 303)


@router.post("/me/password")
def _set_own_password(request: Request, person: _Anybody, old: _Words = "", password: _Words = "") -> Response:
    """Change one's own password, and end all other logins."""
    console, session = console_of(request), session_of(request)
    if not console.limits.may_try(person.name, request.client.host if request.client else ""):
        raise StationError("too many tries: wait a minute")
    if console.people.verify(person.name, old) is None:
        raise StationError("the old password is another one")
    console.people.set_password(person.name, password)
    console.sessions.end_all(person.name, but=session.token if session else "")
    console.audit.write(person, "people.password", person.name)
    return RedirectResponse("/people/me?saved=1", 303)


@router.get("/audit")
def _audit(
    request: Request, person: _Engineer, before: Annotated[int | None, Query(ge=1, lt=2**63)] = None
) -> HTMLResponse:
    """Show who did what, the newest first."""
    entries = console_of(request).audit.page(before, _PAGE)
    older = entries[-1].id if len(entries) == _PAGE else None
    return page(request, "audit.html", person, entries=entries, older=older, before=before)


@router.get("/audit.csv")
def _audit_table(request: Request, person: _Engineer) -> StreamingResponse:
    """Return the whole list as a table."""
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return StreamingResponse(_table(console_of(request).audit.all()), media_type="text/csv", headers=headers)


def _table(entries: Iterator[Entry]) -> Iterator[str]:
    yield "time,who,action,subject,detail\r\n"
    for entry in entries:
        line = io.StringIO()
        when = datetime.fromtimestamp(entry.at_ns / 1e9, UTC).isoformat(timespec="milliseconds")
        words = (when, entry.who, entry.action, entry.subject, entry.detail)
        csv.writer(line).writerow(_harmless(word) for word in words)
        yield line.getvalue()


def _harmless(word: str) -> str:
    """Return `word` such that no spreadsheet takes it for a formula."""
    return f"'{word}" if word.startswith(("=", "+", "-", "@")) else word
