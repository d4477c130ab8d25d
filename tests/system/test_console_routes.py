"""Every route of the console, as the application itself lists them, refuses whom it must refuse."""

from collections.abc import Iterator

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from station.console.csrf import csrf_of
from station.console.people import Role
from tests.console_app import ConsoleApp, console_app

PUBLIC = {("GET", "/"), ("GET", "/login"), ("POST", "/login"), ("GET", "/first"), ("POST", "/first")}
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleApp]:
    with console_app(tmp_path_factory.mktemp("console"), "requests_per_s = 10000.0") as site:
        yield site


def roles_in(dependant: Dependant) -> Iterator[Role]:
    """Yield the roles that are asked for, at any depth."""
    if isinstance(role := getattr(dependant.call, "role", None), Role):
        yield role
    for one in dependant.dependencies:
        yield from roles_in(one)


def routes_of(site: ConsoleApp) -> dict[tuple[str, str], Role | None]:
    """Return the role that each route asks for, by method and a path that fits it."""
    found: dict[tuple[str, str], Role | None] = {}
    for route in iter_route_contexts(site.app.routes):
        if route.methods is None:
            assert route.path == "/static"
            continue
        asked = max(roles_in(route.dependant), default=None)
        for method in route.methods:
            found[method, route.path.replace("{", "").replace("}", "")] = asked
    return found


def test_every_route_but_the_ways_in_asks_for_a_role(site: ConsoleApp) -> None:
    routes = routes_of(site)
    assert {route for route, role in routes.items() if role is None} == PUBLIC
    assert {method for method, _ in routes} == {"GET", "POST"}
    assert len(routes) > 40


def test_nobody_is_let_in_anywhere(site: ConsoleApp) -> None:
    client = site.client()
    for method, path in routes_of(site).keys() - PUBLIC:
        answer = client.request(method, path)
        assert (method, path, answer.status_code) == (method, path, 401)
        page = client.request(method, path, headers={"Accept": "text/html"})
        assert page.status_code == (303 if method == "GET" else 401)
        if method == "GET":
            assert page.headers["location"].startswith("/login?next=/")


@pytest.mark.parametrize("cookie", ["", "x", "x" * 5000, "a=b", '"', "\\", "../..", "%00"])
def test_a_made_up_token_is_nobodys(site: ConsoleApp, cookie: str) -> None:
    answer = site.client().get("/people", headers={"Cookie": f"shadowline-80={cookie}"})
    assert answer.status_code == 401


def test_a_lower_role_is_refused(site: ConsoleApp) -> None:
    refused = 0
    for (method, path), asked in routes_of(site).items():
        for role in Role:
            if asked is not None and role < asked:
                assert (path, site.client(role).request(method, path).status_code) == (path, 403)
                refused += 1
    assert refused > 40


def test_what_changes_something_needs_the_csrf_word(site: ConsoleApp) -> None:
    forged = {"": "", "of nobody": "0" * 64, "of another": csrf_of(site.sessions[Role.VIEWER].token)}
    changing = [(method, path) for method, path in routes_of(site).keys() - PUBLIC if method in UNSAFE]
    client = site.client(Role.ENGINEER)
    for method, path in changing:
        for word in forged.values():
            answers = [
                client.request(method, path, headers={"X-CSRF-Token": word}),
                client.request(method, path, headers={"X-CSRF-Token": ""}, data={"csrf": word}),
                client.request(method, path, headers={"X-CSRF-Token": ""}, json={"csrf": word}),
            ]
            assert {(path, answer.status_code) for answer in answers} == {(path, 403)}
    assert len(changing) > 20


def test_a_way_in_needs_its_csrf_word_too(site: ConsoleApp) -> None:
    client = site.client()
    client.get("/login")
    for path in ("/login", "/first"):
        for word in ("", "0" * 64, csrf_of("x")):
            answer = client.post(path, data={"name": "engineer", "password": "x", "csrf": word})
            assert answer.status_code == 403


def test_a_form_of_another_page_is_no_form_of_ours(site: ConsoleApp) -> None:
    """A page elsewhere can send forms, but neither our cookie (SameSite) nor the word."""
    client = site.client(Role.ENGINEER)
    del client.headers["X-CSRF-Token"]
    answer = client.post("/people/add", data={"name": "mallory", "role": "engineer", "password": "x" * 20})
    assert answer.status_code == 403
    assert "mallory" not in {one.name for one in site.console.people.all()}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%252e%252e/app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\app.py",
        "/static/%00",
        "/static/" + "a/" * 2000,
        "/static/",
        "/../../etc/passwd",
        "/live/picture/..%2f..%2fconfig.toml/1",
        "/strip/coils/..%2f..%2f..%2fetc%2fpasswd",
        "/teach/sets/..%2f..%2fconsole.db.zip",
        "/teach/items/..%2fconsole.db/crop",
        "/settings/history/..%2f..%2fconfig.toml",
    ],
)
def test_no_path_leads_out(site: ConsoleApp, path: str) -> None:
    answer = site.client(Role.ENGINEER).get(path)
    assert answer.status_code in (303, 400, 404, 405, 409, 422)
    assert "root:" not in answer.text
    assert "import " not in answer.text
    assert "[console]" not in answer.text
