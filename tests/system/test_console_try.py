"""Try a picture in a real browser against a running station: judged, compared, sent to review, and refused."""

import io
import json
import os
import signal
import sqlite3
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from station.console.people import Role
from tests.console_browser import Site, axe, chromium, shot, station_and_console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

FIRST_MS = 150_000
"""Until the first picture is judged: the process has the lowest priority, and the computer may be busy."""
ARCHIVE = '[archive]\nfolder = "{folder}/archive"\nframes = "all"\nlive_hz = 5.0\n[teach]\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with station_and_console(tmp_path_factory.mktemp("try"), tables=ARCHIVE.partition("[teach]")[0]) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


def steel(depth: type = np.uint8) -> np.ndarray:
    image = np.full((256, 512), 120, np.uint8)
    image += np.random.default_rng(0).integers(0, 6, image.shape, np.uint8)
    image[80:120, 100:170] = 25
    image[180:184, 250:420] = 215
    return image if depth is np.uint8 else image.astype(np.uint16) << 8


def encoded(suffix: str, image: np.ndarray) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def png(width: int, height: int, before: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("index.html", "<script>")
    return packed.getvalue()


def judged(page: "Page", count: int, timeout: float = 60_000) -> None:
    """Wait until so many pictures are judged or refused."""
    page.locator(".tried:not([data-state=waiting])").nth(count - 1).wait_for(timeout=timeout)


def wait_for_picture(site: Site, source: str) -> None:
    """Ask until the station has made a picture."""
    with site.client(Role.OPERATOR) as client:
        while client.post("/try/snapshot", params={"camera": "top", "source": source}).status_code == 422:
            pass


def test_pictures_are_judged_compared_and_sent_to_review(site: Site, browser: "Browser") -> None:
    with site.signed_in(browser, Role.OPERATOR, color_scheme="dark") as page:
        page.goto(site.url + "try")
        page.wait_for_selector("[data-try=ready]")
        page.select_option("#other", label="models/neu-compact-fp32.onnx")
        picture = {"name": "steel <b>.png", "mimeType": "image/png", "buffer": encoded(".png", steel())}
        page.set_input_files("#pictures", [picture])
        judged(page, 1, FIRST_MS)
        first = page.locator(".tried").first
        assert first.locator("h2").inner_text() == "steel <b>.png"
        assert first.locator(".reply").count() == 2
        assert first.locator(".verdict").first.get_attribute("data-verdict") == "reject"
        assert first.locator(".reply").first.locator(".region").count() == 2
        first.locator("button[aria-pressed]").first.click()
        assert first.locator("button[aria-pressed=true]").count() == 1
        axe(page)
        shot(page, "try-compare-dark")
        first.get_by_role("button", name="Send to review").click()
        first.get_by_text("Sent to review, number 1").wait_for()
        page.select_option("#other", "")
        for source in ("live", "archive"):
            wait_for_picture(site, source)
            page.click(f"[data-source={source}]")
        judged(page, 3)
        assert page.locator(".tried[data-state=judged]").count() == 3
        shot(page, "try-snapshots-dark")
    with sqlite3.connect(site.folder / "console" / "console.db") as db:
        name, by, content, about = db.execute('SELECT name, "by", png, about FROM teach_inbox').fetchone()
    db.close()
    assert (name, by) == ("steel <b>.png", "operator")
    assert (cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) == steel()).all()
    assert json.loads(about)["verdict"] == "reject"


BAD = {
    "bomb.png": (png(50_000, 50_000), "pixels are too many"),
    "animated.png": (png(10, 10, struct.pack(">I4sIII", 8, b"acTL", 2, 0, 0)), "animation"),
    "empty.png": (png(64, 64), "can't be decoded"),
    "cut.png": (encoded(".png", steel())[:-30], "cut off"),
    "cut.jpg": (encoded(".jpg", steel())[:-30], "cut off"),
    "polyglot.png": (encoded(".png", steel()) + archive(), "behind its end"),
    "polyglot.jpg": (encoded(".jpg", steel()) + archive(), "behind its end"),
    "page.png": (b"<!doctype html><script>alert(1)</script>", "not a PNG"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "not a PNG"),
    "nothing.png": (b"", "not a PNG"),
    "large.png": (encoded(".png", steel()) + bytes(33 * 2**20), "over 32 MiB"),
}


def ask(site: Site, role: Role | None, content: bytes, name: str = "a.png", **fields: Any) -> Any:
    with site.client(role) as client:
        return client.post("/try/judge", files={"picture": (name, content, "image/png")}, data=fields)


def choice_of(site: Site) -> str:
    with site.client(Role.OPERATOR) as client:
        return client.get("/try", headers={"Accept": "text/html"}).text.split('<option value="')[1].split('"')[0]


def test_what_is_no_picture_is_refused_in_one_line(site: Site, browser: "Browser") -> None:
    choice = choice_of(site)
    for name, (content, words) in BAD.items():
        answer = ask(site, Role.OPERATOR, content, name, choice=choice)
        if answer.status_code == 200:
            assert words in answer.json()["replies"][0]["error"], name
        else:
            assert answer.status_code == 422, name
            assert words in answer.json()["error"], name
    with site.signed_in(browser, Role.OPERATOR, color_scheme="light") as page:
        page.goto(site.url + "try")
        page.wait_for_selector("[data-try=ready]")
        bomb = {"name": "bomb.png", "mimeType": "image/png", "buffer": BAD["bomb.png"][0]}
        page.set_input_files("#pictures", [bomb])
        dropped = page.evaluate_handle(
            "() => { const all = new DataTransfer(); all.items.add(new File(['<svg/>'], 'drawing.png')); return all; }"
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
        judged(page, 2, FIRST_MS)
        assert page.locator(".tried[data-state=refused]").count() == 2
        assert "drawing.png: not a PNG" in page.locator("#results").inner_text()
        axe(page)
        shot(page, "try-refused-light")


def test_sixteen_bits_are_judged(site: Site) -> None:
    answer = ask(site, Role.OPERATOR, encoded(".png", steel(np.uint16)), choice=choice_of(site))
    (reply,) = answer.json()["replies"]
    assert (reply["bits"], reply["verdict"]) == (16, "reject")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "name one or 2 models"),
        ({"choice": ["0", "1", "2"]}, "name one or 2 models"),
        ({"choice": "../../etc/passwd"}, "no such model"),
        ({"choice": "/etc/passwd"}, "no such model"),
    ],
)
def test_a_model_is_named_by_its_id_alone(site: Site, fields: dict[str, Any], words: str) -> None:
    answer = ask(site, Role.OPERATOR, encoded(".png", steel()), **fields)
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["error"]


def test_names_and_cameras_from_outside_open_nothing(site: Site) -> None:
    answer = ask(
        *(site, Role.OPERATOR, encoded(".png", steel()), "../../../etc/cron.d/x\n.png"),
        choice=choice_of(site),
        camera="../../etc",
    )
    assert answer.status_code == 200
    assert "/" not in answer.json()["name"]
    with site.client(Role.OPERATOR) as client:
        answer = client.post("/try/snapshot", params={"camera": "../../etc/passwd", "source": "live"})
        assert (answer.status_code, answer.json()["error"]) == (422, "there is no such camera")
        assert client.post("/try/snapshot", params={"camera": "top", "source": "/etc"}).status_code == 422
        answer = client.post("/try/judge", files={"picture": ("a.png", b"", "x"), "more": ("b.png", b"", "x")})
        assert answer.status_code == 400


def test_only_operators_may_try(site: Site) -> None:
    assert ask(site, Role.VIEWER, encoded(".png", steel())).status_code == 403
    assert ask(site, None, encoded(".png", steel())).status_code == 401


def test_a_judging_process_that_was_killed_is_replaced(site: Site) -> None:
    choice = choice_of(site)
    assert ask(site, Role.OPERATOR, encoded(".png", steel()), choice=choice).status_code == 200
    children = subprocess.run(["pgrep", "-P", str(site.console.pid), "-f", "tryout.process"], capture_output=True)
    os.kill(int(children.stdout), signal.SIGKILL)
    answers = [ask(site, Role.OPERATOR, encoded(".png", steel()), choice=choice) for _ in range(2)]
    assert answers[0].status_code in (200, 503)
    assert answers[1].status_code == 200
