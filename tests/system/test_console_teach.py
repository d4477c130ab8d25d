"""The whole loop in a browser: review by keyboard, a data set, a training, its model into the line and back again."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from station.archive.index import open_index
from station.archive.reconcile import reconcile
from station.config_file import load
from station.console.database import Database
from station.console.people import Role
from station.console.teach.decisions import Decided, Decisions
from station.console.teach.sets import GROUP_PATTERN
from tests.console_browser import Site, axe, chromium, shot, station_and_console
from tests.evidence import NOON_NS, fill, make_event

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_EVENTS = 40


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def reviewed(tmp_path: Path) -> Iterator[Site]:
    """A console at a port that stays, over an archive of frames with two regions each; no station runs."""
    archive = tmp_path / "archive"
    events = [
        make_event(number, ("unknown" if number % 4 == 0 else "scratches", "patches"), captured_ns=NOON_NS + number)
        for number in range(1, _EVENTS + 1)
    ]
    fill(archive, [*events, make_event(90, (), "invalid")], frame=True)
    with open_index(archive) as index:
        for _ in reconcile(archive, index):
            pass
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = ('console"\nport = 0', f'console"\nport = {port}')
    tables = '[archive]\nfolder = "{folder}/archive"\n'
    with station_and_console(tmp_path, tables=tables, with_station=False, replace=place) as site:
        yield site


def decisions(site: Site) -> list[Decided]:
    """Return what is kept, the oldest first, as another process reads it."""
    with Database(site.folder / "console" / "console.db") as database:
        return list(reversed(Decisions(database).last(1000)))


def opened(page: "Page", url: str) -> None:
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")


def all_sent(page: "Page") -> None:
    page.wait_for_selector('html[data-unsent="0"]', state="attached")


def pressed(page: "Page", *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def new_class(page: "Page", label: str) -> None:
    """Name a new class; keys belong to the dialog until it is gone."""
    pressed(page, "n")
    page.keyboard.type(label)
    pressed(page, "Enter")
    page.wait_for_selector("#naming", state="hidden")


def class_of(page: "Page", label: str) -> str:
    """Return the key of a class."""
    button = page.locator("#classes button", has_text=label)
    return button.locator("kbd").inner_text().lower()


def test_reviewing_by_keyboard(browser: "Browser", reviewed: Site) -> None:
    with reviewed.signed_in(browser, Role.OPERATOR, color_scheme="dark") as page:
        opened(page, reviewed.url + "teach")
        assert "unknown" in page.locator("#said").inner_text()
        pressed(page, "Enter")
        assert page.locator("#note").is_visible()
        new_class(page, "dents")
        pressed(page, "x", "s")
        pressed(page, "u")
        pressed(page, class_of(page, "dents"))
        shot(page, "teach-review")
        axe(page)
        page.get_by_role("button", name="rejected").click()
        page.wait_for_selector("#said:not(:has-text('unknown'))")
        pressed(page, "Enter", "b", "ArrowRight", "Shift+ArrowDown", "Enter", "z")
        shot(page, "teach-box")
        pressed(page, class_of(page, "dents"))
        all_sent(page)
        kept = decisions(reviewed)
        assert [one.did for one in kept] == ["label", "not_a_defect", "skip", "undo", "label", "label", "label"]
        assert [one.label for one in kept] == ["dents", "not-a-defect", "", "", "dents", kept[5].old_label, "dents"]
        assert {one.person for one in kept} == {"operator"}
        assert kept[6].box is not None
        assert kept[6].source.region_px is not None
        assert kept[6].box[0] > kept[6].source.region_px[0]
        assert kept[6].box[3] > kept[6].source.region_px[3]
        page.goto(reviewed.url + "teach/decisions")
        assert page.locator("tbody tr").count() == 7
        shot(page, "teach-decisions")
        axe(page)


def test_a_missed_defect_is_drawn_with_the_mouse(browser: "Browser", reviewed: Site) -> None:
    with reviewed.signed_in(browser, Role.OPERATOR, color_scheme="light") as page:
        opened(page, reviewed.url + "teach")
        page.get_by_role("button", name="without a region").click()
        page.wait_for_selector("#said:has-text('Whole picture')")
        view = page.locator("#view").bounding_box()
        assert view is not None
        x, y = view["x"] + view["width"] / 2, view["y"] + view["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y + 40, steps=3)
        page.mouse.up()
        shot(page, "teach-missed")
        new_class(page, "pits")
        pressed(page, "Enter")
        all_sent(page)
        drawn, done = decisions(reviewed)
        assert (drawn.did, drawn.label, done.did) == ("label", "pits", "done")
        assert drawn.box is not None
        assert drawn.target == f"{drawn.item}@{'-'.join(map(str, drawn.box))}"
        assert done.target == drawn.item


def test_a_console_that_is_killed_in_mid_review_loses_nothing_and_counts_nothing_twice(
    browser: "Browser", reviewed: Site
) -> None:
    with reviewed.signed_in(browser, Role.OPERATOR) as page:
        opened(page, reviewed.url + "teach")
        page.get_by_role("button", name="rejected").click()
        page.wait_for_selector("#said:not(:has-text('unknown'))")
        sent: list[str | None] = []

        def lose_the_second_answer(route: "Route") -> None:
            sent.append(route.request.post_data)
            if len(sent) == 2:
                route.fetch()
                route.abort()
            else:
                route.continue_()

        page.route("**/teach/decide", lose_the_second_answer)
        pressed(page, "Enter", "Enter", "Enter")
        all_sent(page)
        assert sent[1] == sent[2]
        reviewed.console.kill()
        pressed(page, "Enter", "s", "x")
        assert page.locator("html").get_attribute("data-unsent") == "3"
        reviewed.start_console()
        all_sent(page)
        pressed(page, "Enter")
        all_sent(page)
        kept = decisions(reviewed)
        assert [one.did for one in kept] == ["label"] * 4 + ["skip", "not_a_defect", "label"]
        assert len({one.item for one in kept}) == 7


def test_what_is_no_decision_is_refused_in_one_line(reviewed: Site) -> None:
    with reviewed.client(Role.OPERATOR) as client:
        item = client.get("/teach/next").json()["items"][0]["id"]
        good = {"id": uuid4().hex, "item": item, "do": "label", "label": "dents"}
        for wrong, status in [
            ({"label": "a/b"}, 422),
            ({"label": "unknown"}, 422),
            ({"label": ""}, 422),
            ({"label": "set.json"}, 422),
            ({"label": "a\u202eb"}, 422),
            ({"item": "../../etc/passwd"}, 422),
            ({"item": "000000000099-0123456789ab.0"}, 410),
            ({"box": [0, 0, -1, 5]}, 422),
            ({"box": [900, 900, 5, 5]}, 409),
            ({"do": "delete"}, 422),
            ({"id": "'; DROP TABLE"}, 422),
            ({"more": 1}, 422),
        ]:
            answer = client.post("/teach/decide", json=good | wrong)
            assert (answer.status_code, list(answer.json())) == (status, ["error"]), wrong
        assert client.post("/teach/decide", json=good).json() == client.post("/teach/decide", json=good).json()
        assert client.get("/teach/items/sent.1/crop").status_code == 410
        assert client.get("/teach/train").status_code == 403
        assert client.post("/teach/sets").status_code == 403
    assert len(decisions(reviewed)) == 1


_RECIPE = """
network = "compact"
width = 0.25
epochs = 3
epoch_crops = 64
crop = { size_px = 32, context = 1.5, min_side_px = 96 }
"""
_TABLES = """
[archive]
folder = "{folder}/archive"
[swap]
cache = "{folder}/plans"
shadow_crops = 8
shadow_s = 20
probation_frames = 10
max_disagreement = 1.0
max_flip_share = 1.0
max_late_share = 1.0
[console.teach]
recipe = "{folder}/recipe.toml"
"""


def test_from_reviewed_pictures_to_a_model_in_the_line_and_back(browser: "Browser", tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra `training` is not installed")
    (tmp_path / "recipe.toml").write_text(_RECIPE)
    with station_and_console(tmp_path, tables=_TABLES) as site:
        _label(site, 36)
        with site.signed_in(browser, Role.ENGINEER, color_scheme="dark") as page:
            page.on("dialog", lambda dialog: dialog.accept())
            opened(page, site.url + "teach/train")
            page.click("#make")
            made = page.locator("#sets li").first
            made.wait_for()
            _check_set(site, page)
            page.select_option("#recipe", "own")
            page.get_by_role("button", name="Train", exact=True).click()
            page.wait_for_selector(".training[data-state=running]")
            shot(page, "teach-training")
            page.wait_for_selector(".training[data-state=done]", timeout=300_000)
            shot(page, "teach-trained")
            axe(page)
            assert page.locator(".training table tr").count() == 3
            _look_at_report(page)
            before = page.locator("#model p").first.inner_text()
            page.get_by_role("button", name="Send to shadow and swap").click()
            page.wait_for_selector("#outcome", timeout=120_000)
            shot(page, "teach-swapped")
            assert page.locator("#outcome").inner_text() == "The line has this model now"
            assert page.locator("#model p").first.inner_text().startswith("reviewed-")
            _keep(site, page)
            page.click("#rollback")
            page.wait_for_selector("#model:has-text('rolled back by hand')", timeout=60_000)
            assert page.locator("#model p").first.inner_text() == before


def _label(site: Site, count: int) -> None:
    """Name the first regions of the archive by turns, as it keeps them."""
    done = 0
    with site.client(Role.OPERATOR) as client:
        while done < count:
            for item in client.get("/teach/next", params={"count": 32}).json()["items"]:
                label = ("scratches", "patches")[done % 2]
                body = {"id": uuid4().hex, "item": item["id"], "do": "label" if item["box"] else "skip", "label": label}
                assert client.post("/teach/decide", json=body).status_code == 200
                done += 1


def _check_set(site: Site, page: "Page") -> None:
    """Insist that the ZIP comes down, and that the training package finds no error in the set."""
    with page.expect_download() as download:
        page.get_by_role("link", name="ZIP").click()
    assert re.fullmatch(r"reviewed-\d{8}-\d{6}\.zip", download.value.suggested_filename)
    (folder,) = (site.folder / "console" / "teach" / "sets").glob("[0-9]*")
    words = ["check", str(folder), "--group-pattern", GROUP_PATTERN, "--sheets", str(site.folder / "sheets")]
    command = [sys.executable, "-m", "station", "train", "data", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def _keep(site: Site, page: "Page") -> None:
    """Have the next start load the new model, see that it can't be deleted, and come back."""
    page.click("#keep")
    page.wait_for_selector("#diff .plus:has-text('model')")
    shot(page, "teach-keep")
    page.click("#apply")
    page.wait_for_selector("#reviewed[data-outcome=restart]")
    (model,) = (site.folder / "console" / "teach" / "trainings").glob("*/run/model.onnx")
    assert load(site.folder / "config.toml").engine.model_dump()["model"] == model
    opened(page, site.url + "teach/train")
    assert page.locator("#keep").is_hidden()


def _look_at_report(page: "Page") -> None:
    """Open the report, which is a page in a sandbox."""
    with page.context.expect_page() as arrived:
        page.get_by_role("link", name="Report").click()
    report = arrived.value
    report.wait_for_load_state()
    assert report.locator("img").count() > 0
    assert report.evaluate("window.origin") == "null"
    shot(report, "teach-report")
    report.close()
