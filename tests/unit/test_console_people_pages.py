"""The pages about people: an engineer's, one's own, and the list of who did what."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.console.people import Role
from tests.console_app import PASSWORD, ConsoleApp, console_app


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ConsoleApp]:
    with console_app(tmp_path) as site:
        yield site


def test_an_engineer_adds_changes_and_removes(site: ConsoleApp) -> None:
    client = site.client(Role.ENGINEER)
    client.post("/people/add", data={"name": "ben", "role": "viewer", "password": PASSWORD})
    changed = client.post("/people/role", data={"name": "ben", "role": "operator"})
    assert 'class="done"' in client.get(changed.headers["location"]).text
    assert 'class="done"' not in client.get("/people").text
    assert [one.role for one in site.console.people.all() if one.name == "ben"] == [Role.OPERATOR]
    assert "ben" in client.get("/people").text
    client.post("/people/remove", data={"name": "ben"})
    assert "ben" not in {one.name for one in site.console.people.all()}
    assert [one.action for one in site.console.audit.page()] == ["people.remove", "people.role", "people.add"]


@pytest.mark.parametrize(
    ("path", "fields", "line"),
    [
        ("add", {"name": "ben", "role": "boss", "password": PASSWORD}, "'boss' is no role"),
        ("add", {"name": "../x", "role": "viewer", "password": PASSWORD}, "a name has 1 to 32"),
        ("add", {"name": "ben", "role": "viewer", "password": "short"}, "10 to 256 characters"),
        ("remove", {"name": "engineer"}, "the last engineer"),
        ("role", {"name": "engineer", "role": "viewer"}, "the last engineer"),
        ("password", {"name": "stranger", "password": PASSWORD}, "nobody here"),
    ],
)
def test_what_can_not_be_done_is_told_in_a_line(site: ConsoleApp, path: str, fields: dict[str, str], line: str) -> None:
    answer = site.client(Role.ENGINEER).post(f"/people/{path}", data=fields)
    assert answer.status_code == 409
    assert line in answer.json()["error"]
    assert site.console.audit.page() == []


def test_a_form_brings_the_csrf_word_in_a_field(site: ConsoleApp) -> None:
    client = site.client(Role.VIEWER)
    word = client.headers.pop("X-CSRF-Token")
    looks = {"language": "de", "theme": "dark"}
    assert client.post("/people/me/looks", data={**looks, "csrf": word}).status_code == 303
    assert client.post("/people/me/looks", data={**looks, "csrf": word[:-1]}).status_code == 403
    assert client.post("/people/me/looks", json={**looks, "csrf": word}).status_code == 403
    assert client.post("/people/me/looks", files={"csrf": word.encode()}).status_code == 403


def test_a_role_holds_from_the_next_request_on(site: ConsoleApp) -> None:
    operator = site.client(Role.OPERATOR)
    assert operator.get("/people").status_code == 403
    site.client(Role.ENGINEER).post("/people/role", data={"name": "operator", "role": "engineer"})
    assert operator.get("/people").status_code == 200


def test_a_new_password_ends_the_logins(site: ConsoleApp) -> None:
    site.client(Role.ENGINEER).post("/people/password", data={"name": "viewer", "password": PASSWORD + "!"})
    assert site.client(Role.VIEWER).get("/people/me").status_code == 401
    assert site.console.people.verify("viewer", PASSWORD + "!")


def test_one_changes_ones_own_password_with_the_old_one(site: ConsoleApp) -> None:
    viewer = site.client(Role.VIEWER)
    elsewhere = site.console.sessions.begin(site.sessions[Role.VIEWER].person)
    wrong = viewer.post("/people/me/password", data={"old": "wrong", "password": PASSWORD + "!"})
    assert (wrong.status_code, wrong.json()["error"]) == (409, "the old password is another one")
    assert viewer.post("/people/me/password", data={"old": PASSWORD, "password": PASSWORD + "!"}).status_code == 303
    assert viewer.get("/people/me").status_code == 200
    assert not site.console.sessions.lasts(elsewhere.token)


def test_guessing_the_old_password_is_slowed(site: ConsoleApp) -> None:
    viewer = site.client(Role.VIEWER)
    lines = {
        viewer.post("/people/me/password", data={"old": "x", "password": PASSWORD}).json()["error"] for _ in range(12)
    }
    assert lines == {"the old password is another one", "too many tries: wait a minute"}


def test_language_and_theme_are_ones_own(site: ConsoleApp) -> None:
    viewer = site.client(Role.VIEWER)
    viewer.post("/people/me/looks", data={"language": "de", "theme": "light"})
    page = viewer.get("/people/me").text
    assert '<html lang="de" data-theme="light">' in page
    assert "Abmelden" in page
    assert viewer.post("/people/me/looks", data={"language": "fr", "theme": "light"}).status_code == 409
    assert 'lang="en"' in site.client(Role.OPERATOR).get("/people/me").text


def test_the_list_has_pages_and_a_table(site: ConsoleApp) -> None:
    for number in range(150):
        site.console.audit.write("=1+1", "teach.confirm", f"crop {number}", 'a "b", c')
    client = site.client(Role.ENGINEER)
    first = client.get("/people/audit").text
    assert first.count("crop ") == 100
    older = client.get("/people/audit?before=51").text
    assert older.count("crop ") == 50
    assert "crop 49<" in older
    table = client.get("/people/audit.csv")
    assert "attachment" in table.headers["content-disposition"]
    lines = table.text.splitlines()
    assert lines[0] == "time,who,action,subject,detail"
    assert len(lines) == 151
    assert lines[1].endswith(""",'=1+1,teach.confirm,crop 149,"a ""b"", c\"""")
    assert client.get("/people/audit?before=x").status_code == 422


def test_what_somebody_writes_is_shown_as_text(site: ConsoleApp) -> None:
    site.console.audit.write("<script>alert(1)</script>", "login.refused", "10.0.0.1")
    page = site.client(Role.ENGINEER).get("/people/audit").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
