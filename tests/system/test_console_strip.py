"""The strip map through a real console: from the list of coils to a defect's picture, its report and its export."""

import csv
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from station.console.people import Role
from station.control_protocol import Coil, ask
from tests.console_browser import Site, axe, chromium, shot, station_and_console
from tests.journal_double import JournalDouble, StationDouble, standing
from tests.strip_talk import FRAME_MM, StripTalk, defect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright").expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

AXIS_PX = 26
CAMERA = """
[[camera]]
name = "top"
type = "simulated"
width_px = 512
height_px = 256
rate_hz = 10.0
defects_per_frame = 1.5
pitch_mm = 0.5
"""
TABLES = """
[line.encoder]
type = "speed"
mm_per_s = 1280.0
[archive]
folder = "{folder}/archive"
max_mb = 50
frames_free_mb = 0
crops_free_mb = 0
"""

REACH_OF_TEXTS = """() => {
  const drawn = echarts.getInstanceByDom(document.getElementById("pareto"));
  const sides = drawn.getZr().storage.getDisplayList().filter((one) => one.type === "tspan").flatMap((one) => {
    const box = one.getBoundingRect().clone();
    if (one.transform) box.applyTransform(one.transform);
    return [box.x / drawn.getWidth(), (box.x + box.width) / drawn.getWidth()];
  });
  return [Math.min(...sides), Math.max(...sides)];
}"""
"""From where to where the Pareto's words reach, in parts of its width."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as opened:
        yield opened


def until(client: httpx2.Client, path: str, holds: Any) -> Any:
    """Return what the console says at `path` once that `holds`."""
    for _ in range(300):
        found = client.get(path).json()
        if holds(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path}: {found}")


def say(double: StationDouble, journal: JournalDouble, talk: StripTalk) -> None:
    """Let all that was said be in the journal, and told."""
    journal.keep(*talk.said[len(journal.kept) :])
    double.beat(journal.last)


@contextmanager
def console_of(folder: Path, journal: JournalDouble) -> Iterator[tuple[Site, StationDouble]]:
    """Yield a console, and the double of a station that it listens to."""
    endpoint = (f"{folder}/events", f"{folder}/live")
    with (
        standing(folder, journal) as double,
        station_and_console(folder, with_station=False, replace=endpoint) as site,
    ):
        yield site, double


def zoom_to_a_rectangle(page: "Page") -> None:
    """Zoom in both ways with the mouse, move in it, and go back to the whole."""
    where, shown = page.locator("#where"), page.locator("#shown")
    page.keyboard.press("0")
    expect(where).not_to_contain_text("across")
    told = shown.inner_text()
    box = page.locator("#map").bounding_box()
    assert box is not None
    map_px = box["height"] - AXIS_PX
    page.keyboard.press("z")
    expect(page.locator("#frame")).to_have_attribute("aria-pressed", "true")
    page.mouse.move(box["x"] + 100, box["y"] + 0.25 * map_px)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 0.75 * map_px, steps=3)
    page.mouse.up()
    expect(where).to_contain_text("25–75 % across")
    expect(page.locator("#frame")).to_have_attribute("aria-pressed", "false")
    expect(shown).not_to_have_text(told)
    page.keyboard.press(".")
    expect(where).to_contain_text("38–63 % across")
    page.locator("#map").press("ArrowDown")
    expect(where).to_contain_text("44–69 % across")
    shot(page, "strip-rectangle")
    page.keyboard.press("0")
    expect(where).not_to_contain_text("across")


def test_from_the_list_to_a_picture_and_out(browser: "Browser", tmp_path: Path) -> None:
    with (
        station_and_console(tmp_path, CAMERA, TABLES) as site,
        site.client(Role.VIEWER) as client,
        site.signed_in(browser, Role.VIEWER, color_scheme="dark") as page,
    ):
        ask(f"ipc://{tmp_path}/control", Coil("A-17"))
        until(client, "/strip/trend", lambda coils: coils and coils[-1]["name"] == "A-17" and coils[-1]["defects"] > 30)
        page.goto(f"{site.url}strip")
        page.wait_for_selector("html[data-trend]")
        axe(page)
        shot(page, "strip-list")
        page.get_by_role("link", name="A-17").click()
        page.wait_for_selector("html[data-strip]")
        page.wait_for_selector("html[data-pareto]")
        expect(page.locator("#facts")).to_contain_text("Defects")
        expect(page.locator("#repeats-state")).not_to_contain_text("Searching", timeout=15_000)
        least, most = page.evaluate(REACH_OF_TEXTS)
        assert 0 <= least < most <= 1
        axe(page)
        shot(page, "strip-coil")
        before = page.locator("#where").inner_text()
        page.locator("#map").hover(position={"x": 200, "y": 100})
        page.mouse.wheel(0, -300)
        expect(page.locator("#where")).not_to_have_text(before)
        zoom_to_a_rectangle(page)
        page.keyboard.press("n")
        expect(page.locator("#numbers")).to_contain_text("Confidence")
        page.wait_for_selector("#picture[src$='/crop']")
        expect(page.locator("#picture")).not_to_have_js_property("naturalWidth", 0)
        shot(page, "strip-defect")
        page.get_by_role("button", name="Whole frame").click()
        page.wait_for_selector("#picture[src$='/frame']")
        page.locator("#labels input").first.uncheck()
        with page.expect_download() as csv_given:
            page.locator("[data-export=csv]").click()
        rows = list(csv.DictReader(csv_given.value.path().read_text().splitlines()))
        assert rows
        unchecked = page.locator("#labels label").first.inner_text().split()[0]
        assert unchecked not in {row["label"] for row in rows}
        with page.expect_download(timeout=60_000) as report_given:
            page.locator("[data-report=json]").click()
        report = json.loads(report_given.value.path().read_text())
        assert report["schema"] == "shadowline.coil-report/1"
        assert report["coil"] == "A-17"
        page.goto(f"{site.url}strip/shift")
        page.get_by_role("button", name="Last 8 h").click()
        expect(page.get_by_role("link", name="A-17")).to_be_visible()
        axe(page)
        shot(page, "strip-shift")


def test_a_coil_that_runs_is_searched_again_for_what_comes_again(browser: "Browser", tmp_path: Path) -> None:
    journal, talk = JournalDouble(), StripTalk()
    with (
        console_of(tmp_path, journal) as (site, double),
        site.client(Role.VIEWER) as client,
        site.signed_in(browser, Role.VIEWER) as page,
    ):
        for turn in range(2):
            for number in range(20 * turn, 20 * turn + 20):
                talk.frame(number * FRAME_MM, defects=(defect("crazing", 10 * number, 5),))
            say(double, journal, talk)
            until(client, "/strip/trend", lambda coils: coils and coils[-1]["last_event"] == journal.last)
            if not turn:
                page.clock.install()
                page.goto(f"{site.url}strip/coils/1")
                expect(page.locator("#repeats-state")).to_contain_text("dashed on the map", timeout=15_000)
        with page.expect_request("**/repeats"):
            page.clock.fast_forward(70_000)


def test_without_positions_the_map_runs_over_the_hour(browser: "Browser", tmp_path: Path) -> None:
    journal, talk = JournalDouble(), StripTalk()
    for number in range(60):
        reason = "dark" if 20 <= number < 30 else ""
        marks = (defect("crazing", 40 * number % 1900, 5, placed=False),) if number % 3 == 0 and not reason else ()
        talk.frame(None, reason, defects=marks)
        talk.frame(None, camera="bottom", defects=marks)
    with console_of(tmp_path, journal) as (site, double), site.client(Role.VIEWER) as client:
        say(double, journal, talk)
        until(client, "/strip/trend", lambda coils: coils and coils[-1]["last_event"] == journal.last)
        refused = client.get("/strip/coils/1/report.json")
        assert (refused.status_code, refused.json()["error"][:14]) == (409, "a coil's repor")
        with site.signed_in(browser, Role.VIEWER, color_scheme="light") as page:
            page.goto(f"{site.url}strip")
            page.get_by_role("link", name="Hour 2023-11-14 22:00 UTC").click()
            page.wait_for_selector("html[data-pareto]")
            expect(page.locator("#repeats-state")).to_contain_text("Without positions")
            expect(page.locator("#spans")).to_contain_text("top: dark")
            page.keyboard.press("n")
            expect(page.locator("#not-kept")).to_contain_text("Not kept")
            axe(page)
            shot(page, "strip-hour")


def test_a_console_that_is_killed_again_and_again_loses_nothing_and_takes_nothing_twice(tmp_path: Path) -> None:
    journal, talk = JournalDouble(page_messages=50), StripTalk()
    with console_of(tmp_path, journal) as (site, double):
        for turn in range(3):
            for number in range(200):
                talk.frame((200 * turn + number) * FRAME_MM, defects=(defect("crazing", 10, 10),) * (number % 3))
            say(double, journal, talk)
            with site.client(Role.VIEWER) as client:
                until(
                    client,
                    "/strip/trend",
                    lambda coils, least=200 * turn + 1: coils and coils[-1]["last_event"] >= least,
                )
            site.console.kill()
            site.start_console()
        with site.client(Role.VIEWER) as client:
            beat = lambda coils: double.beat(journal.last) or coils[-1]["last_event"] == journal.last  # noqa: E731
            coil = until(client, "/strip/trend", beat)[-1]
            rows = client.get("/strip/coils/1/defects.json").json()
    assert [(coil["name"], coil["part"], coil["frames"]["accept"] + coil["frames"]["reject"])] == [("A-17", 1, 600)]
    said = {(event.event, number) for event in talk.said for number in range(len(event.defects))}
    assert len(rows) == len(said) == coil["defects"]
    assert {(row["event"], row["number"]) for row in rows} == said


def test_wrong_requests_get_one_line(tmp_path: Path) -> None:
    journal, talk = JournalDouble(), StripTalk()
    talk.frame(0.0, defects=(defect("crazing", 1, 1),))
    asked = {
        "/strip/coils/99": 404,
        f"/strip/coils/{2**70}": 422,
        "/strip/coils/one": 422,
        "/strip/coils/1/view": 422,
        "/strip/coils/1/view?begin=5&end=5": 422,
        "/strip/coils/1/view?begin=nan&end=inf": 422,
        "/strip/coils/1/view?begin=0&end=1&width=1000000": 422,
        "/strip/coils/1/view?begin=0&end=1e-300": 200,
        "/strip/coils/1/view?begin=-1e12&end=1e12&labels=7": 200,
        "/strip/coils/1/defects.csv?verdicts=good": 422,
        "/strip/coils/1/defects.exe": 422,
        "/strip/coils/1/defects/1/7": 404,
        "/strip/coils/1/defects/1/0/crop": 404,
        "/strip/coils/1/defects/1/0/..%2f..%2fconfig.toml": 404,
        "/strip/coils/1/report.pdf": 422,
        "/strip/shift.csv?begin_ms=5&end_ms=4": 422,
        "/strip/shift.csv?begin_ms=0&end_ms=9223372036853": 200,
        "/strip/trend?search=%00%27": 200,
    }
    with console_of(tmp_path, journal) as (site, double), site.client(Role.VIEWER) as client:
        say(double, journal, talk)
        until(client, "/strip/trend", lambda coils: len(coils) == 1)
        for path, status in asked.items():
            answer = client.get(path)
            assert answer.status_code == status, (path, answer.text)
            if status >= 400:
                assert list(answer.json()) == ["error"], path
                assert "\n" not in answer.json()["error"]
