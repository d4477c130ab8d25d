"""Settings in a real browser against a running station: changed, refused, put back, and recipes selected."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from station.console.people import Role
from tests.console_browser import Site, axe, chromium, shot, station_and_console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TABLES = """
[archive]
folder = "{folder}/archive"
live_hz = 5.0
[calibration]
folder = "{folder}/calibrations"
[verdict.rules.scratches] # short ones pass
min_area_px = 30
[recipe.coil-a]
external_id = 1
description = "thin strip"
[recipe.coil-a.verdict.default]
action = "accept"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with station_and_console(tmp_path_factory.mktemp("settings"), tables=TABLES) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


def opened(page: "Page", site: Site, place: str = "settings") -> None:
    page.goto(site.url + place)
    page.locator("html[data-settings=ready]").wait_for()


def field(page: "Page", *place: str) -> Any:
    words = ",".join(f'"{part}"' for part in place)
    return page.locator(f"[id='[{words}]']")


def review(page: "Page") -> str:
    page.click("#review")
    page.locator("#reviewed[open]").wait_for()
    return page.locator("#diff").inner_text()


def apply(page: "Page") -> str:
    page.click("#apply")
    page.locator("#applied:not(:empty)").wait_for()
    return page.locator("#applied").inner_text()


def test_a_rule_is_changed_applied_and_put_back(site: Site, browser: "Browser") -> None:
    before = site.config_file.read_text()
    with site.signed_in(browser, Role.ENGINEER, color_scheme="dark") as page:
        opened(page, site)
        field(page, "verdict", "rules", "scratches", "min_area_px").fill("-5")
        page.click("#review")
        place = page.locator("[data-fault='[verdict] rules.scratches.min_area_px']")
        place.wait_for()
        assert "greater than or equal to 0" in place.inner_text()
        axe(page)
        shot(page, "settings-fault-dark")
        field(page, "verdict", "rules", "scratches", "min_area_px").fill("45")
        field(page, "station", "budget_ms").fill("55")
        told = review(page)
        assert "-min_area_px = 30" in told
        assert "+min_area_px = 45" in told
        assert "Holds from the next frame on." in page.locator("#when").inner_text()
        shot(page, "settings-diff-dark")
        assert "Taken: it holds" in apply(page)
        assert "# short ones pass\nmin_area_px = 45" in site.config_file.read_text()
        assert "reload taken" in site.station.log
        with page.expect_navigation():
            page.click("#close")
        page.locator("html[data-settings=ready]").wait_for()
        assert field(page, "station", "budget_ms").input_value() == "55.0"

        opened(page, site, "settings/history")
        assert page.locator("tbody tr").count() == 2
        assert "engineer" in page.locator("tbody tr").first.inner_text()
        axe(page)
        shot(page, "settings-history-dark")
        page.locator("tbody tr").last.get_by_role("button").click()
        page.locator("#reviewed[open]").wait_for()
        assert "-budget_ms = 55.0" in page.locator("#diff").inner_text()
        assert "Taken: it holds" in apply(page)
    assert site.config_file.read_text() == before


def test_what_the_station_refuses_is_not_left_in_the_file(site: Site, browser: "Browser") -> None:
    before = site.config_file.read_text()
    with site.signed_in(browser, Role.ENGINEER, color_scheme="light") as page:
        opened(page, site)
        page.fill("#find", "rules")
        page.locator("form[data-where='[verdict]'] input").fill("no_such_label")
        page.locator("form[data-where='[verdict]'] button").click()
        page.locator("#reviewed[open]").wait_for()
        assert "+[verdict.rules.no_such_label]" in page.locator("#diff").inner_text()
        told = apply(page)
        assert "Refused by the station" in told
        assert "not a label of the model" in told
        shot(page, "settings-refused-light")
        axe(page)
    assert site.config_file.read_text() == before


def test_the_text_is_checked_and_says_when_a_restart_is_needed(site: Site, browser: "Browser") -> None:
    with site.signed_in(browser, Role.ENGINEER, viewport={"width": 1024, "height": 768}) as page:
        opened(page, site)
        page.click("#as-text")
        text = page.locator("#text").input_value()
        page.fill(
            "#text", text.replace("[station]", "[station").replace("[verdict.rules", "[verdict.rules", 1) + "\n[x"
        )
        page.click("#review")
        page.locator("#faults li").wait_for()
        assert "no TOML" in page.locator("#faults").inner_text()
        page.fill("#text", text.replace("max_regions = 100", "max_regions = 100\nscale = 2"))
        assert "+scale = 2" in review(page)
        assert page.locator("#diff .plus, #diff .minus").count() == 1
        assert "[regions] scale" in page.locator("#when").inner_text()
        assert "restart" in page.locator("#when").inner_text()
        axe(page)
        shot(page, "settings-text-tablet")


def test_an_operator_selects_a_recipe_and_changes_nothing_else(site: Site, browser: "Browser") -> None:
    with site.signed_in(browser, Role.OPERATOR, color_scheme="dark") as page:
        page.goto(site.url + "settings")
        row = page.locator("#recipes tr", has_text="thin strip")
        row.wait_for()
        assert page.url.endswith("/settings/recipes")
        row.locator("[data-action=select]").click()
        page.locator("#recipes tr[data-state=active]", has_text="coil-a").wait_for()
        axe(page)
        shot(page, "settings-recipes-dark")
        page.locator("[data-action=select][data-recipe=default]").click()
        page.locator("#recipes tr[data-state=active]", has_text="default").wait_for()
    with site.client(Role.OPERATOR) as client:
        for method, place in (("POST", "check"), ("POST", "apply"), ("POST", "undo"), ("GET", "history")):
            assert client.request(method, f"/settings/{place}", json={"text": "", "base": "0" * 64}).status_code == 403


def test_light_and_focus_are_seen_and_a_step_runs(site: Site, browser: "Browser") -> None:
    with site.signed_in(browser, Role.ENGINEER, color_scheme="dark") as page:
        page.goto(site.url + "settings/calibration")
        page.locator("#told", has_text="top-").wait_for(timeout=60_000)
        assert float(page.locator("#mean").inner_text()) > 20
        assert float(page.locator("#sharpness").inner_text()) > 0
        page.select_option("#step", "flat-field")
        assert "station calibrate flat-field top" in page.locator("#command").inner_text()
        page.click("#begin")
        page.locator("html[data-step=ended]").wait_for(timeout=120_000)
        assert "done" in page.locator("#step-state").inner_text()
        axe(page)
        page.reload()
        page.locator("td", has_text="flat field").wait_for()
        page.locator("html[data-step=ended]").wait_for()
        shot(page, "settings-calibration-dark")
        assert page.locator("tr", has_text="flat field").locator("td.number").inner_text() == "1"


def base_of(site: Site) -> tuple[str, str]:
    """Return the text of the file and the hash that the page names."""
    with site.client(Role.ENGINEER) as client:
        shown = client.get("/settings", headers={"Accept": "text/html"}).text
    found = re.search(r'data-base="([0-9a-f]{64})"', shown)
    assert found is not None
    return site.config_file.read_text(), found[1]


def test_the_second_of_two_who_change_it_at_once_is_told(site: Site) -> None:
    text, base = base_of(site)
    with site.client(Role.ENGINEER) as client:
        first = client.post("/settings/apply", json={"text": text + "# by the first\n", "base": base})
        second = client.post("/settings/apply", json={"text": text + "# by the second\n", "base": base})
    assert (first.status_code, first.json()["outcome"]) == (200, "taken")
    assert second.status_code == 409
    assert "changed meanwhile" in second.json()["error"]
    assert site.config_file.read_text().endswith("# by the first\n")


@pytest.mark.parametrize(
    ("place", "body", "status"),
    [
        ("apply", {"text": "[station]\nbudget_ms = -1\n"}, 422),
        ("apply", {"text": "\x00"}, 422),
        ("apply", {}, 422),
        ("change", {"text": "", "fields": {"../../etc/passwd": "1"}}, 422),
        ("add", {"text": "", "where": "[verdict]", "key": "__class__", "name": "x"}, 422),
        ("undo", {"version": 10**18}, 404),
        ("undo", {"version": "../1"}, 422),
        ("recipes/select", {"recipe": "../../x"}, 409),
    ],
)
def test_wrong_requests_get_one_clear_line(site: Site, place: str, body: dict[str, Any], status: int) -> None:
    _, base = base_of(site)
    wants_base = place in ("apply", "undo")
    with site.client(Role.ENGINEER) as client:
        answer = client.post(f"/settings/{place}", json=body | ({"base": base} if wants_base else {}))
    assert answer.status_code == status
    assert answer.json()["error"]


def test_letters_that_are_none_get_one_clear_line(site: Site) -> None:
    with site.client(Role.ENGINEER) as client:
        headers = {"Content-Type": "application/json"}
        answer = client.post("/settings/check", content=b'{"text": "\\ud800"}', headers=headers)
    assert answer.status_code == 422
    assert answer.json()["error"]
