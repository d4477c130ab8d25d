"""People at a real console in a real browser: the first engineer, logins, roles, keys, and a silent station."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from station.console.people import Role
from tests.console_browser import PASSWORD, Site, axe, chromium, shot, station_and_console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AWAY = "The station is not heard: treat every part as reject"


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with station_and_console(tmp_path_factory.mktemp("console")) as site:
        yield site


def log_in(page: "Page", name: str, password: str) -> None:
    page.fill("#name", name)
    page.fill("#password", password)
    page.keyboard.press("Enter")


def test_the_first_engineer_begins(browser: "Browser", tmp_path: Path) -> None:
    with station_and_console(tmp_path, with_station=False, people=False) as site, site.signed_in(browser, None) as page:
        page.goto(site.url)
        assert page.url.endswith("/first")
        axe(page)
        shot(page, "first")
        log_in(page, "anna", PASSWORD)
        page.wait_for_url("**/live")
        assert page.locator("nav a").count() == 6


def test_an_engineer_adds_somebody_who_logs_in(browser: "Browser", site: Site) -> None:
    with site.signed_in(browser, Role.ENGINEER, color_scheme="dark") as page:
        page.goto(site.url + "people")
        page.fill("#name", "ben")
        page.fill("#password", PASSWORD)
        page.select_option("#role", "operator")
        page.click("form[action='/people/add'] button")
        page.get_by_role("rowheader", name="ben").wait_for()
        axe(page)
        shot(page, "people-dark")
        page.goto(site.url + "people/audit")
        page.get_by_role("cell", name="added somebody").first.wait_for()
        axe(page)
        shot(page, "audit-dark")
    with site.signed_in(browser, None) as page:
        page.goto(site.url + "people/me")
        assert page.url.endswith("/login?next=/people/me")
        log_in(page, "ben", "wrong")
        page.get_by_role("alert").wait_for()
        axe(page)
        shot(page, "login-wrong")
        log_in(page, "ben", PASSWORD)
        page.wait_for_url("**/people/me")
        assert [link.inner_text() for link in page.locator("nav a").all()] == [
            "Live",
            "Strip",
            "Try",
            "Teach",
            "Settings",
        ]
        page.goto(site.url + "people")
        assert "this is for the role engineer" in page.get_by_role("alert").inner_text()
        shot(page, "refused")
        page.click("form[action='/logout'] button")
        page.wait_for_url("**/login")


@pytest.mark.parametrize(("language", "word"), [("de", "Abmelden"), ("zh", "退出")])
def test_a_person_chooses_language_and_colours(browser: "Browser", site: Site, language: str, word: str) -> None:
    with site.signed_in(browser, Role.VIEWER, viewport={"width": 1024, "height": 768}) as page:
        page.goto(site.url + "people/me")
        page.select_option("#language", language)
        page.select_option("#theme", "light")
        page.click("form[action='/people/me/looks'] button")
        page.get_by_role("button", name=word).wait_for()
        axe(page)
        shot(page, f"me-{language}-light")


def test_keys_lead_through_the_pages(browser: "Browser", site: Site) -> None:
    with site.signed_in(browser, Role.ENGINEER) as page:
        page.goto(site.url + "people/me")
        page.wait_for_selector("html[data-ready]")
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        axe(page)
        shot(page, "keys")
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("p")
        page.wait_for_url("**/people")
        page.wait_for_selector("html[data-ready]")
        page.fill("#name", "g?")
        assert not page.get_by_role("dialog").is_visible()


def test_a_silent_station_is_told_and_recovers(browser: "Browser", tmp_path: Path) -> None:
    with station_and_console(tmp_path) as site, site.signed_in(browser, Role.ENGINEER) as page:
        page.goto(site.url + "people/me")
        page.wait_for_selector("html[data-station=up]")
        site.station.kill()
        page.wait_for_selector("html[data-station=down]")
        assert page.get_by_role("status").inner_text().endswith(AWAY)
        axe(page)
        shot(page, "station-down")
        site.station.start()
        page.wait_for_selector("html[data-station=up]")
        site.console.kill()
        page.wait_for_selector("html[data-station=down]")
        assert "does not answer" in page.get_by_role("status").inner_text()
        site.start_console()
