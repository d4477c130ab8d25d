"""The live page at a real station: pictures, verdicts, what is stale, and a station that is killed and comes back."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import httpx2
import numpy as np
import pytest

from station.console.people import Role
from tests.console_browser import Site, axe, chromium, shot, station_and_console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CAMERA = """
[[camera]]
name = "{name}"
type = "simulated"
width_px = 1024
height_px = 500
rate_hz = 10.0
seed = {seed}
defects_per_frame = 0.7
"""
FROZEN = "faults = { freeze_at = 20, outage_s = 600.0 }\n"
TABLES = """
[archive]
folder = "{folder}/archive"
frames_free_mb = 0
crops_free_mb = 0
[gateway.plc]
type = "modbus"
role = "client"
host = "127.0.0.1"
metrics_port = 1
"""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield a line of two cameras, the second of which stands still after two seconds."""
    cameras = CAMERA.format(name="top", seed=3) + CAMERA.format(name="side", seed=4) + FROZEN
    with station_and_console(tmp_path_factory.mktemp("live"), cameras, TABLES) as found:
        yield found


def card(page: "Page", camera: str) -> "Locator":
    return page.locator(f'.live-camera[data-camera="{camera}"]')


def wait_for_age(page: "Page", camera: str, age: str) -> None:
    page.wait_for_selector(f'.live-camera[data-camera="{camera}"][data-age="{age}"]')


@pytest.mark.parametrize("look", ["dark", "light"])
def test_the_page_shows_the_newest_frame_and_how_the_line_is(browser: "Browser", site: Site, look: str) -> None:
    with site.signed_in(browser, Role.VIEWER, color_scheme=look) as page:
        page.goto(site.url + "live")
        wait_for_age(page, "top", "live")
        top = card(page, "top")
        assert top.locator(".verdict").inner_text().lower() in ("accept", "reject", "invalid")
        assert "ms" in top.locator(".live-latency").inner_text()
        grey = (
            "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.slice(0, 400)]"
        )
        assert np.std(top.locator("canvas").evaluate(grey)) > 1
        page.locator("#live-ribbon li").nth(20).wait_for()
        page.locator("#live-ledger", has_text="balances").wait_for()
        page.locator("#live-health", has_text="plcoffline").wait_for()
        axe(page)
        shot(page, f"live-{look}")


def test_a_camera_that_stands_still_is_not_shown_as_live(browser: "Browser", site: Site) -> None:
    with site.signed_in(browser, Role.VIEWER, viewport={"width": 1024, "height": 768}) as page:
        page.goto(site.url + "live")
        wait_for_age(page, "side", "stale")
        wait_for_age(page, "top", "live")
        assert card(page, "side").locator(".live-veil").inner_text().startswith("NOT LIVE: ")
        assert card(page, "side").locator(".live-old").is_visible()
        page.locator("summary").click()
        page.locator("#live-list tr").nth(20).wait_for()
        axe(page)
        shot(page, "live-stale-tablet")


def test_a_picture_that_waits_for_its_turn_says_how_old_it_is_beside_the_newest_verdict(
    browser: "Browser", tmp_path: Path
) -> None:
    slow = TABLES.replace("crops_free_mb = 0", "crops_free_mb = 0\nlive_hz = 0.1")
    with (
        station_and_console(tmp_path, CAMERA.format(name="top", seed=3), slow) as site,
        site.signed_in(browser, Role.VIEWER) as page,
    ):
        page.goto(site.url + "live")
        wait_for_age(page, "top", "stale")
        page.wait_for_selector(".live-result:not([data-old=yes])")
        assert card(page, "top").locator(".live-veil").inner_text().startswith("NOT LIVE: ")
        assert card(page, "top").locator(".live-old").is_hidden()
        shot(page, "live-slow")


def test_what_the_archive_told_before_the_console_came_is_shown(tmp_path: Path) -> None:
    full = TABLES.replace("frames_free_mb = 0", "frames_free_mb = 100_000_000")
    with station_and_console(tmp_path, CAMERA.format(name="top", seed=3), full) as site:
        with site.client(Role.VIEWER) as client:
            services = next_services(client, "degraded")
        site.console.stop()
        site.start_console()
        with site.client(Role.VIEWER) as client:
            assert next_services(client, "degraded") == services


def next_services(client: httpx2.Client, state: str) -> Any:
    """Return what updates say of journal and archive, once the latter is in `state`."""
    with client.stream("GET", "live/updates") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                services = json.loads(line.removeprefix("data: "))["services"]
                if [one["state"] for one in services if one["name"] == "archive"] == [state]:
                    return services
    raise AssertionError("the stream ended")


def test_a_station_or_console_that_is_killed_is_said_and_its_return_is_seen_without_a_reload(
    browser: "Browser", tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    own_port = ('console"\nport = 0', f'console"\nport = {port}')
    with (
        station_and_console(tmp_path, CAMERA.format(name="top", seed=3), TABLES, replace=own_port) as site,
        site.signed_in(browser, Role.VIEWER) as page,
    ):
        page.goto(site.url + "live")
        wait_for_age(page, "top", "live")
        page.evaluate("window.loadedOnce = true")
        site.station.kill()
        page.wait_for_selector('#live-health [data-state="offline"]')
        page.wait_for_selector("#down:not([hidden])")
        wait_for_age(page, "top", "stale")
        shot(page, "live-station-down")
        site.station.start()
        wait_for_age(page, "top", "live")
        page.wait_for_selector("#down", state="hidden")
        site.console.kill()
        wait_for_age(page, "top", "stale")
        site.start_console()
        wait_for_age(page, "top", "live")
        assert page.evaluate("window.loadedOnce")


def next_update(client: httpx2.Client) -> Any:
    """Return the first update of the stream that has a picture of the camera that goes on."""
    with client.stream("GET", "live/updates") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                told = json.loads(line.removeprefix("data: "))
                if told["cameras"][0]["picture"]:
                    return told
    raise AssertionError("the stream ended")


def test_a_picture_that_an_update_told_of_can_be_had_and_no_other_file(site: Site) -> None:
    with site.client(Role.VIEWER) as client:
        told = next_update(client)["cameras"][0]["picture"]
        answer = client.get(f"live/picture/top/{told['version']}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert float(answer.headers["x-age-ms"]) >= told["age_ms"]
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert image.shape == (469, 960)
        for place in ("top/1", "bottom/1", "..%2f..%2fconsole/console.db", f"side/{told['version']}"):
            refused = client.get(f"live/picture/{place}")
            assert refused.status_code == 404
            assert b"error" in refused.content
