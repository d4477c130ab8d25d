"""The console's application: its parts put together, and one clear line for whatever goes wrong. Event loop."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from shadowline.errors import StationError
from station.console import events, people_pages, welcome
from station.console.guard import Guard
from station.console.live import routes as live
from station.console.live.watch import open_live
from station.console.settings import routes as settings
from station.console.strip import routes as strip
from station.console.strip.service import Strip
from station.console.teach import routes as teach
from station.console.teach.teach import open_teach
from station.console.tryout import routes as tryout
from station.console.web import Console, page, public_page, session_of, texts_of

__all__ = ["open_app"]

logger = logging.getLogger(__name__)

_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class _Part:
    """A part: its routes, and what lives as long as the process, which stands at `app.state.NAME`."""

    name: str
    router: APIRouter
    service: Callable[[Console], AbstractContextManager[Any]] | None = None


_PARTS = (
    _Part("welcome", welcome.router),
    _Part("events", events.router),
    _Part("live", live.router, open_live),
    _Part("strip", strip.router, Strip),
    _Part("tryout", tryout.router, tryout.open_try),
    _Part("teach", teach.router, open_teach),
    _Part("settings", settings.router, settings.open_settings),
    _Part("people", people_pages.router),
)


@contextmanager
def open_app(console: Console) -> Iterator[FastAPI]:
    """Yield the application, whose parts' services live meanwhile. Raises `StationError` where one can't start."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.console = console
    app.add_middleware(Guard, config=console.config.console, limits=console.limits, find=console.sessions.find)
    app.mount("/static", StaticFiles(directory=_STATIC))
    for kind, handler in _HANDLERS:
        app.add_exception_handler(kind, handler)
    with ExitStack() as running:
        for part in _PARTS:
            app.include_router(part.router)
            if part.service is not None:
                setattr(app.state, part.name, running.enter_context(part.service(console)))
        yield app


def _tell(request: Request, status: int, line: str) -> Response:
    """Return the error, in the language of whoever asks: as a page for who wants pages, else as JSON."""
    line = texts_of(request).fault(line)
    if "text/html" not in request.headers.get("accept", "") or request.scope["path"].startswith("/static/"):
        return JSONResponse({"error": line}, status)
    session = session_of(request)
    if status == 401 and request.method == "GET":
        return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)
    if session is None:
        return public_page(request, "error.html", "", status, code=status, line=line)
    return page(request, "error.html", session.person, status=status, code=status, line=line)


def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    line = "there is no such page" if error.detail == "Not Found" else str(error.detail)
    answer = _tell(request, error.status_code, line)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def _tell_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults: Sequence[Any] = error.errors()
    place = ".".join(str(part) for part in faults[0]["loc"][1:])
    return _tell(request, 422, f"{place}: {faults[0]['msg']}" if place else str(faults[0]["msg"]))


def _tell_station(request: Request, error: Exception) -> Response:
    """Answer with what a part, or the station, said when it refused."""
    return _tell(request, 409, str(error))


def _tell_storage(request: Request, error: Exception) -> Response:
    logger.error("database: %s", error)
    return _tell(request, 503, f"the console's database can't be used now: {error}")


def _tell_fault(request: Request, error: Exception) -> Response:
    return _tell(request, 500, "the console made a mistake: its log says which")


_HANDLERS: tuple[tuple[type[Exception], Callable[[Request, Exception], Response]], ...] = (
    (HTTPException, _tell_http),
    (RequestValidationError, _tell_invalid),
    (StationError, _tell_station),
    (sqlite3.OperationalError, _tell_storage),
    (Exception, _tell_fault),
)
