"""The ways in and out: the first engineer, logins and their limits, logout."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from station.console.people import Role
from tests.console_app import PASSWORD, ConsoleApp, console_app


def fill(client: TestClient, path: str, **fields: str) -> tuple[int, str]:
    """Send the form at `path` with its own CSRF word; return status, and where it leads or what it says."""
    page = client.get(path)
    word = re.search(r'name="csrf" value="(\w+)"', page.text)
    answer = client.post(path, data={**fields, "csrf": word[1] if word else ""})
    fault = re.search(r'role="alert">([^<]+)<', answer.text)
    return answer.status_code, answer.headers.get("location") or (fault[1] if fault else answer.text)


def test_the_first_engineer_is_made_at_this_computer_once(tmp_path: Path) -> None:
    with console_app(tmp_path, people=False) as site:
        client = site.client()
        assert client.get("/login").headers["location"] == "/first"
        assert fill(client, "/first", name="Anna", password="short")[0] == 409
        assert fill(client, "/first", name="Anna", password=PASSWORD) == (303, "/")
        assert client.get("/people").status_code == 200
        assert fill(site.client(), "/first", name="ben", password=PASSWORD)[0] == 403
        assert [(one.name, one.role) for one in site.console.people.all()] == [("anna", Role.ENGINEER)]


@pytest.mark.parametrize(
    ("address", "header"), [("10.0.0.9", "x"), ("127.0.0.1", "X-Forwarded-For"), ("::ffff:10.0.0.1", "x")]
)
def test_nobody_becomes_the_first_from_elsewhere(tmp_path: Path, address: str, header: str) -> None:
    with console_app(tmp_path, people=False) as site:
        client = site.client(address=address)
        client.headers[header] = "127.0.0.1"
        assert client.get("/first").status_code == 403
        client.get("/login")
        assert client.post("/first", data={"name": "eve", "password": PASSWORD}).status_code == 403
        assert not site.console.people.any()


@pytest.fixture
def site(tmp_path: Path):  # type: ignore[no-untyped-def]
    with console_app(tmp_path, "logins_per_minute = 4.0") as site:
        yield site


def test_a_login_leads_where_it_was_asked_for(site: ConsoleApp) -> None:
    assert fill(site.client(), "/login?next=/strip", name="viewer", password=PASSWORD, next="/strip") == (303, "/strip")


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/\r\nX: y", "/ä"]
)
def test_a_login_leads_nowhere_else(site: ConsoleApp, place: str) -> None:
    assert fill(site.client(), "/login", name="viewer", password=PASSWORD, next=place) == (303, "/")


def test_the_cookie_is_for_the_browser_alone_and_new(site: ConsoleApp) -> None:
    client = site.client()
    client.cookies.set("shadowline-80", "chosen by somebody else")
    word = re.search(r'name="csrf" value="(\w+)"', client.get("/login").text)
    assert word is not None
    answer = client.post("/login", data={"name": "viewer", "password": PASSWORD, "csrf": word[1]})
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("shadowline-80="))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "chosen" not in cookie


def test_a_wrong_password_is_refused_and_written_down(site: ConsoleApp) -> None:
    assert fill(site.client(), "/login", name="viewer", password="wrong") == (403, "Name or password is wrong.")
    assert fill(site.client(), "/login", name="nobody", password="wrong") == (403, "Name or password is wrong.")
    assert [(one.who, one.action) for one in site.console.audit.page()] == [
        ("nobody", "login.refused"),
        ("viewer", "login.refused"),
    ]


def test_guessing_is_slowed(site: ConsoleApp) -> None:
    statuses = [fill(site.client(), "/login", name="viewer", password=f"guess {number}")[0] for number in range(6)]
    assert statuses == [403] * 4 + [429] * 2
    assert fill(site.client(), "/login", name="viewer", password=PASSWORD)[0] == 429
    assert fill(site.client(), "/login", name="operator", password=PASSWORD)[0] == 303


def test_a_logout_ends_the_login(site: ConsoleApp) -> None:
    client = site.client(Role.VIEWER)
    assert client.post("/logout").headers["location"] == "/login"
    client.cookies.set("shadowline-80", site.sessions[Role.VIEWER].token)
    assert client.get("/people/me").status_code == 401


def test_who_is_logged_in_needs_no_login(site: ConsoleApp) -> None:
    assert site.client(Role.VIEWER).get("/login?next=/strip").headers["location"] == "/strip"
    assert site.client().get("/").headers["location"] == "/live"
