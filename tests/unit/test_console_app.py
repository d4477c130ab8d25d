"""The parts put together: one clear line for whatever goes wrong, and nothing heavy in either process."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shadowline.errors import StationError
from station.console.people import Role
from tests.console_app import ConsoleApp, console_app

PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleApp]:
    with console_app(tmp_path_factory.mktemp("console")) as site:
        yield site


def fail(error: Exception) -> object:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (StationError("no station answers: start it"), 409, "no station answers: start it"),
        (sqlite3.OperationalError("disk full"), 503, "the console's database can't be used now: disk full"),
        (ZeroDivisionError("a secret"), 500, "the console made a mistake: its log says which"),
    ],
)
def test_what_goes_wrong_is_told_in_a_line(
    site: ConsoleApp, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, line: str
) -> None:
    monkeypatch.setattr(site.console.people, "all", lambda: fail(error))
    client = site.client(Role.ENGINEER)
    answer = client.get("/people")
    assert (answer.status_code, answer.json()) == (status, {"error": line})
    page = client.get("/people", headers=PAGE)
    assert page.status_code == status
    assert '<p class="fault" role="alert">' in page.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/settings/recipes/state", None),
        ("POST", "/settings/recipes/select", {"recipe": "thin"}),
        ("POST", "/settings/recipes/prepare", {"recipe": "thin"}),
        ("POST", "/teach/rollback", {}),
    ],
)
def test_a_station_that_is_not_heard_is_not_waited_for(
    site: ConsoleApp, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: dict[str, str] | None
) -> None:
    monkeypatch.setattr("station.control_protocol.zmq.Context", lambda **_: fail(AssertionError("it was asked")))
    answer = site.client(Role.ENGINEER).request(method, path, json=body)
    words = "The station is not heard: treat every part as reject"
    assert (answer.status_code, answer.json()) == (409, {"error": words})
    assert site.client(Role.ENGINEER).get("/teach/state").json()["model"] == {"error": words}


def test_what_is_not_there_is_told(site: ConsoleApp) -> None:
    assert site.client().get("/nothing").json() == {"error": "there is no such page"}
    assert "there is no such page" in site.client(Role.VIEWER).get("/nothing", headers=PAGE).text
    assert site.client().delete("/login").headers["allow"] == "GET"


def test_wrong_input_names_its_place(site: ConsoleApp) -> None:
    answer = site.client(Role.ENGINEER).get("/people/audit?before=x")
    assert (answer.status_code, answer.json()["error"].split(":")[0]) == (422, "before")


def test_nothing_describes_the_routes_to_strangers(site: ConsoleApp) -> None:
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert site.client(Role.ENGINEER).get(path).status_code == 404


def test_neither_loads_what_only_the_other_needs() -> None:
    """The daemon's command knows no web framework, and the console no network's."""
    look = "import sys, {0}; print(*({1} & set(sys.modules)))"
    for module, heavy in (
        ("station.command", {"fastapi", "uvicorn", "argon2", "jinja2"}),
        ("station.console.serve", {"torch", "torchvision", "lightning"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", look.format(module, heavy)], capture_output=True, text=True, check=True
        )
        assert done.stdout == "\n"
