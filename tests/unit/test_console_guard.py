"""What every request passes before any route, and what every answer carries."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.console.people import Role
from tests.console_app import ConsoleApp, console_app


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleApp]:
    with console_app(tmp_path_factory.mktemp("console"), 'names = ["console.plant.example"]\nupload_mb = 2') as site:
        yield site


def test_every_answer_forbids_what_pages_of_ours_do_not_need(site: ConsoleApp) -> None:
    for path in ("/login", "/people", "/nothing", "/static/base.css"):
        headers = site.client().get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_a_script_has_the_word_of_its_own_answer(site: ConsoleApp) -> None:
    client = site.client(Role.VIEWER)
    nonces = set()
    for _ in range(2):
        answer = client.get("/people/me")
        nonce = re.search(r"'nonce-([^']+)'", answer.headers["content-security-policy"])
        assert nonce is not None
        assert set(re.findall(r'<script[^>]* nonce="([^"]+)"', answer.text)) == {nonce[1]}
        assert len(re.findall("<script", answer.text)) == len(re.findall("<script[^>]* nonce=", answer.text))
        nonces.add(nonce[1])
    assert len(nonces) == 2


def test_pages_are_not_kept_and_scripts_are(site: ConsoleApp) -> None:
    client = site.client(Role.VIEWER)
    assert client.get("/people/me").headers["cache-control"] == "no-store"
    assert "immutable" in client.get("/static/base.css?v=1").headers["cache-control"]
    assert client.get("/static/base.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9580", "[::1]:9580", "localhost", "192.168.1.5:1", "CONSOLE.plant.example"]
)
def test_addresses_and_own_names_are_answered(site: ConsoleApp, host: str) -> None:
    assert site.client().get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:9580", "127.0.0.1.evil.example", "localhost.evil", "[::1", "a b"]
)
def test_a_foreign_name_is_refused(site: ConsoleApp, host: str) -> None:
    answer = site.client(Role.ENGINEER).get("/people", headers={"Host": host})
    assert answer.status_code == 421
    assert "[console] names" in answer.json()["error"]


@pytest.mark.parametrize(
    ("role", "kind", "most"),
    [
        (None, "multipart/form-data; boundary=b", 64 << 10),
        (Role.OPERATOR, "application/x-www-form-urlencoded", 1 << 20),
        (Role.OPERATOR, "multipart/form-data; boundary=b", 2 << 20),
    ],
)
def test_a_request_brings_only_so_much(site: ConsoleApp, role: Role | None, kind: str, most: int) -> None:
    client, headers = site.client(role), {"Content-Type": kind}
    announced = client.post("/login", content=b"x" * (most + 1), headers=headers)
    in_pieces = client.post("/login", content=(b"x" * 1024 for _ in range(most // 1024 + 1)), headers=headers)
    fitting = client.post("/login", content=b"x" * most, headers=headers)
    assert (announced.status_code, in_pieces.status_code) == (413, 413)
    assert announced.json() == {"error": f"more than {most >> 10} KiB: send less"}
    assert fitting.status_code != 413


def test_an_address_that_asks_too_much_is_refused(tmp_path: Path) -> None:
    with console_app(tmp_path, "requests_per_s = 1.0") as site:
        statuses = [site.client(address="10.0.0.9").get("/login").status_code for _ in range(6)]
        assert statuses[:2] == [200, 200]
        assert 429 in statuses
        assert site.client(address="10.0.0.8").get("/login").status_code == 200


def test_what_is_announced_must_come(site: ConsoleApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("station.console.guard._BODY_S", 0.05)
    monkeypatch.setattr("station.console.guard._LEAST_BYTES_PER_S", 1 << 30)
    statuses: list[int] = []

    async def silent() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, object]) -> None:
        if "status" in message:
            statuses.append(int(str(message["status"])))

    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"9"),
    ]
    scope = {
        **{
            "type": "http",
            "method": "POST",
            "path": "/login",
            "raw_path": b"/login",
            "query_string": b"",
            "root_path": "",
        },
        **{"scheme": "http", "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}},
    }
    asyncio.run(site.app(scope, silent, send))  # type: ignore[arg-type]
    assert statuses == [408]
