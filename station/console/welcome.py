"""The ways in and out: the first engineer, login, logout, and how one's own pages look. FastAPI's threads."""

import secrets
from ipaddress import ip_address
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from shadowline.errors import StationError
from station.console.csrf import csrf_of, is_csrf_of
from station.console.guard import cookie_name
from station.console.web import Console, Person, Role, console_of, public_page, require, session_of, texts_of

__all__ = ["router"]

router = APIRouter()

_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")

_Words = Annotated[str, Form(max_length=512)]


@router.get("/")
def _home() -> Response:
    """Lead to the line."""
    return RedirectResponse("/live", 303)


@router.get("/login")
def _login_page(request: Request, next: str = "/") -> Response:
    """Show the login, or lead to where the first engineer is made."""
    if session_of(request) is not None:
        return RedirectResponse(_inside(next), 303)
    if not console_of(request).people.any():
        return RedirectResponse("/first", 303)
    return _form(request, "login.html", next=_inside(next))


@router.post("/login")
def _login(
    request: Request, name: _Words = "", password: _Words = "", csrf: _Words = "", next: _Words = "/"
) -> Response:
    """Log in, or show the form again with the reason."""
    _refuse_forged(request, csrf)
    console, address = console_of(request), _address(request)
    if not console.limits.may_try(name, address):
        return _form(request, "login.html", 429, next=_inside(next), fault=texts_of(request)("base.login_often"))
    person = console.people.verify(name, password)
    if person is None:
        console.audit.write(name, "login.refused", address)
        return _form(request, "login.html", 403, next=_inside(next), fault=texts_of(request)("base.login_wrong"))
    return _begin(request, console, person, _inside(next))


@router.get("/first")
def _first_page(request: Request) -> Response:
    """Ask for the first engineer, at the station's computer."""
    if console_of(request).people.any():
        return RedirectResponse("/login", 303)
    _refuse_distant(request)
    return _form(request, "first.html")


@router.post("/first")
def _first(request: Request, name: _Words = "", password: _Words = "", csrf: _Words = "") -> Response:
    """Make the first engineer."""
    _refuse_forged(request, csrf)
    _refuse_distant(request)
    console = console_of(request)
    try:
        person = console.people.add(name, Role.ENGINEER, password, only_first=True)
    except StationError as fault:
        return _form(request, "first.html", 409, fault=str(fault), name=name)
    console.audit.write(person, "people.first", person.name)
    return _begin(request, console, person, "/")


@router.post("/logout")
def _logout(request: Request, person: Annotated[Person, Depends(require(Role.VIEWER))]) -> Response:
    """Log out."""
    console, session = console_of(request), session_of(request)
    if session is not None:
        console.sessions.end(session.token)
    console.audit.write(person, "logout", person.name)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(cookie_name(request.scope))
    return answer


def _begin(request: Request, console: Console, person: Person, place: str) -> Response:
    """Log `person` in under a new token."""
    token = console.sessions.begin(person).token
    console.audit.write(person, "login", _address(request))
    answer = RedirectResponse(place, 303)
    _set_cookie(request, answer, cookie_name(request.scope), token)
    answer.delete_cookie(_visit(request))
    return answer


def _form(request: Request, template: str, status: int = 200, **context: str) -> HTMLResponse:
    """Return a form of a visitor, with a cookie that its CSRF word belongs to."""
    visit = request.cookies.get(_visit(request)) or secrets.token_urlsafe(32)
    answer = public_page(request, template, csrf_of(visit), status, **context)
    _set_cookie(request, answer, _visit(request), visit)
    return answer


def _set_cookie(request: Request, answer: Response, name: str, value: str) -> None:
    answer.set_cookie(name, value, httponly=True, samesite="strict", secure=request.url.scheme == "https")


def _visit(request: Request) -> str:
    return f"{cookie_name(request.scope)}-visit"


def _refuse_forged(request: Request, csrf: str) -> None:
    visit = request.cookies.get(_visit(request), "")
    if not visit or not is_csrf_of(visit, csrf):
        raise HTTPException(403, "this page is out of date: load it again")


def _refuse_distant(request: Request) -> None:
    """Raise for whoever is, or may be, at another computer."""
    if any(name in request.headers for name in _FORWARDED) or not ip_address(_address(request)).is_loopback:
        raise HTTPException(403, "only at the station's computer: station console user add NAME --role engineer")


def _address(request: Request) -> str:
    return request.client.host if request.client else "0.0.0.0"


def _inside(place: str) -> str:
    """Return `place` where it is one of this console's, else its beginning."""
    plain = place.isascii() and place.isprintable() and "\\" not in place
    return place if plain and place.startswith("/") and not place.startswith("//") else "/"
