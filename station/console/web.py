"""What every page and route of the console stands on: who asks, what they may, and how a page is made. Any thread."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, StreamingResponse
from jinja2 import Environment

from shadowline.errors import StationError
from station.client import Peer
from station.config import Config
from station.console.audit import Audit
from station.console.csrf import csrf_of, is_csrf_of
from station.console.database import Database
from station.console.feed import Feed
from station.console.limits import Limits
from station.console.people import People, Person, Role
from station.console.sessions import Session, Sessions
from station.console.texts import Texts
from station.console.workers import Workers
from station.security.keys import ClientKeys

__all__ = [
    "Console",
    "Person",
    "Role",
    "console_of",
    "control_of",
    "csrf_word",
    "page",
    "public_page",
    "require",
    "session_of",
    "stream",
    "texts_of",
]

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_LOOK_AGAIN_S = 5.0


@dataclass(frozen=True)
class Console:
    """What all parts share; `app.state.console`."""

    config: Config
    config_file: Path
    folder: Path
    database: Database
    publish: Peer
    journal: Peer
    control: tuple[str, ClientKeys | None]
    feed: Feed
    workers: Workers
    audit: Audit
    people: People
    sessions: Sessions
    limits: Limits
    texts: Mapping[str, Texts]
    templates: Environment


def console_of(request: Request) -> Console:
    """Return what all parts share."""
    console: Console = request.app.state.console
    return console


def session_of(request: Request) -> Session | None:
    """Return who asks, as the guard found out; None for nobody."""
    session: Session | None = request.scope.get("session")
    return session


def require(role: Role) -> Callable[[Request], Awaitable[Person]]:
    """Return the dependency that lets in people of `role` and above: `Annotated[Person, Depends(require(role))]`.

    Without a login the answer is 401, which for a page leads to the login; with too low a role, or with a wrong CSRF
    word for what changes something, 403.
    """

    async def person_of(request: Request) -> Person:
        session = session_of(request)
        if session is None:
            raise HTTPException(401, "log in first")
        if session.person.role < role:
            raise HTTPException(403, f"this is for the role {role.name.lower()} and above: ask an engineer")
        if request.method not in _SAFE and not is_csrf_of(session.token, await csrf_word(request)):
            raise HTTPException(403, "this page is out of date: load it again")
        return session.person

    person_of.role = role  # type: ignore[attr-defined]
    return person_of


async def csrf_word(request: Request) -> str:
    """Return the CSRF word that came with the request: the header's, else the form's."""
    if header := request.headers.get("x-csrf-token"):
        return header
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    word = (await request.form()).get("csrf")
    return word if isinstance(word, str) else ""


def texts_of(request: Request) -> Texts:
    """Return the texts in the language of whoever asks."""
    console, session = console_of(request), session_of(request)
    return console.texts[session.person.language if session else console.config.console.language]


def control_of(request: Request) -> tuple[str, ClientKeys | None]:
    """Return the station's control socket, and the keys to come with.

    Raises `StationError` at once while the station is not heard, for nobody should wait for an answer then.
    """
    console = console_of(request)
    if not console.feed.online:
        raise StationError(texts_of(request)("base.station_down"))
    return console.control


def page(
    request: Request, template: str, person: Person, *, texts: Sequence[str] = (), status: int = 200, **context: Any
) -> HTMLResponse:
    """Return the page that `template` makes for `person`; `texts` are the keys' beginnings that its scripts need."""
    session = session_of(request)
    csrf = csrf_of(session.token) if session else ""
    return _render(request, template, status, texts, {**context, "person": person, "csrf": csrf})


def public_page(request: Request, template: str, csrf: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page for somebody who has not logged in."""
    return _render(request, template, status, (), {**context, "person": None, "csrf": csrf})


def stream(request: Request, updates: AsyncIterator[bytes | str]) -> StreamingResponse:
    """Return server-sent events: each item is one event's lines; they end with the login, or the console.

    An iterator should yield something every few seconds (`: still here\\n\\n`), so that this is seen.
    """
    return StreamingResponse(
        _while_welcome(request, updates), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _while_welcome(request: Request, updates: AsyncIterator[bytes | str]) -> AsyncIterator[bytes | str]:
    console, session = console_of(request), session_of(request)
    looked_s = time.monotonic()
    async for update in updates:
        if console.feed.stopped:
            return
        if session is not None and time.monotonic() - looked_s > _LOOK_AGAIN_S:
            looked_s = time.monotonic()
            if not await run_in_threadpool(console.sessions.lasts, session.token):
                yield "event: ended\ndata:\n\n"
                return
        yield update


def _render(
    request: Request, template: str, status: int, prefixes: Sequence[str], context: Mapping[str, Any]
) -> HTMLResponse:
    console, texts = console_of(request), texts_of(request)
    nonce = request.scope.setdefault("nonce", secrets.token_urlsafe(16))
    html = console.templates.get_template(template).render(
        **context,
        t=texts,
        nonce=nonce,
        console=console,
        path=request.url.path,
        script_texts=texts.within(("base.", *prefixes)),
        Role=Role,
    )
    return HTMLResponse(html, status)
