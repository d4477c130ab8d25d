"""A station and its console as processes, and a real browser that looks at them.

@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser

def test_something(browser, tmp_path):
    with station_and_console(tmp_path) as site, site.signed_in(browser, Role.OPERATOR) as page:
        page.goto(site.url + "live")
        axe(page)
        shot(page, "live")
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest

from station.config_file import load
from station.console.csrf import csrf_of
from station.console.people import Role
from station.console.records import open_records
from station.console.sessions import Session

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["PASSWORD", "Program", "Site", "axe", "chromium", "shot", "station_and_console"]

PASSWORD = "a long sentence of tests"
"""Of everybody: `viewer`, `operator` and `engineer`."""

_CHROMIUM = Path("/usr/bin/chromium")
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_CAMERA = """
[[camera]]
name = "top"
type = "simulated"
width_px = 512
height_px = 256
rate_hz = 10.0
defects_per_frame = 1.0
"""
_TABLES = """
[regions]
max_regions = 100
[publish]
endpoint = "ipc://{folder}/events"
[journal]
folder = "{folder}/journal"
endpoint = "ipc://{folder}/replay"
commit_ms = 20
[control]
endpoint = "ipc://{folder}/control"
[metrics]
port = 0
[console]
folder = "{folder}/console"
port = 0
"""


class Program:
    """A command `station …` as a process, which may be killed and started again."""

    def __init__(self, words: tuple[str, ...], ready: str) -> None:
        self._words, self._ready = words, ready
        self._process: subprocess.Popen[str] | None = None
        self.log = ""

    def start(self) -> str:
        """Start it, and return the line that says that it is ready."""
        process = subprocess.Popen(
            [sys.executable, "-m", "station", *self._words],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        self._process, self.log = process, ""
        for line in process.stderr:
            self.log += line
            if self._ready in line:
                break
        else:
            process.wait()
            process.stderr.close()
            self._process = None
            raise RuntimeError(f"station {self._words[0]} did not start:\n{self.log}")
        self._reading = threading.Thread(target=self._read, args=(process.stderr,), name=f"log of {self._words[0]}")
        self._reading.start()
        return line

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code; nothing where it does not run."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        code = process.wait(30)
        self._reading.join()
        assert process.stderr is not None
        process.stderr.close()
        return code

    def kill(self) -> None:
        """End it as a power cut would."""
        self.stop(signal.SIGKILL)

    def _read(self, stderr: IO[str]) -> None:
        for line in stderr:
            self.log += line


@dataclass
class Site:
    """A running station and its console."""

    folder: Path
    config_file: Path
    station: Program
    console: Program
    url: str = ""
    """With a slash at its end; another one after a restart of the console, unless the file names its port."""
    sessions: dict[Role, Session] = field(default_factory=dict)

    def start_console(self) -> None:
        """Start the console, again after it was killed."""
        self.url = self.console.start().split("console on ")[1].strip()

    @contextmanager
    def client(self, role: Role | None) -> Iterator[httpx2.Client]:
        """Yield a client that is logged in as `role` and sends the right CSRF word; None is nobody."""
        headers, cookies = {}, {}
        if role is not None:
            session = self.sessions[role]
            headers = {"X-CSRF-Token": csrf_of(session.token)}
            cookies = {self._cookie: session.token}
        with httpx2.Client(base_url=self.url, headers=headers, cookies=cookies, timeout=30.0) as client:
            yield client

    @contextmanager
    def signed_in(self, browser: "Browser", role: Role | None, **options: Any) -> Iterator["Page"]:
        """Yield an empty page of a browser that is logged in; it fails on a script's error or a foreign request.

        Without a role nobody is logged in. `options` are those of Playwright's `new_context`, as `color_scheme="dark"`;
        the window is 1280×800.
        """
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(15_000)
        if role is not None:
            context.add_cookies([{"name": self._cookie, "value": self.sessions[role].token, "url": self.url}])
        faults: list[str] = []
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
        page.on("request", lambda request: faults.append(request.url) if self._is_foreign(request.url) else None)
        try:
            yield page
            assert not faults, faults
        finally:
            context.close()

    @property
    def _cookie(self) -> str:
        return f"shadowline-{urlsplit(self.url).port}"

    def _is_foreign(self, url: str) -> bool:
        return not url.startswith((self.url, "data:", "blob:", "about:"))


@contextmanager
def station_and_console(
    folder: Path,
    cameras: str = _CAMERA,
    tables: str = "",
    *,
    with_station: bool = True,
    people: bool = True,
    replace: tuple[str, str] = ("", ""),
) -> Iterator[Site]:
    """Yield a station on a small simulated camera, and its console with somebody of each role; both are ended.

    Without `people` nobody may log in yet. `tables` are added to the configuration; `{folder}` in them is the folder.
    `replace` changes one place of the rest.
    """
    config_file = folder / "config.toml"
    text = (cameras + _TABLES).replace("{folder}", str(folder))
    assert replace[0] in text
    config_file.write_text(text.replace(*replace) + tables.replace("{folder}", str(folder)))
    words = ("--config", str(config_file))
    site = Site(
        folder,
        config_file,
        Program(("run", *words), "READY"),
        Program(("console", *words), "console on "),
    )
    with open_records(load(config_file).console) as records:
        for role in Role if people else ():
            person = records.people.add(role.name.lower(), role, PASSWORD)
            site.sessions[role] = records.sessions.begin(person)
    try:
        if with_station:
            site.station.start()
        site.start_console()
        yield site
    finally:
        codes = [site.console.stop(), site.station.stop()]
    assert codes == [0, 0], site.console.log + site.station.log


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Yield headless Chromium; the test is skipped where there is none."""
    if not _CHROMIUM.exists():
        pytest.skip("chromium is missing: sh tests/console-install.sh")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    with sync_api.sync_playwright() as playwright, _begun_pool() as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _begun_pool() -> Iterator[ThreadPoolExecutor]:
    """Yield Playwright's threads, which have begun: else they would in the middle of a test, and be left by it."""
    with ThreadPoolExecutor(2, "playwright") as pool:
        begun = threading.Barrier(3)
        for _ in range(2):
            pool.submit(begun.wait)
        begun.wait()
        yield pool


def axe(page: "Page") -> None:
    """Insist that axe finds nothing serious about how accessible the page is."""
    playwright_axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    violations = playwright_axe.Axe().run(page).response["violations"]
    grave = [
        f"{one['impact']}: {one['help']}: {node['html'][:200]} {node['failureSummary']}"
        for one in violations
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert not grave, "\n".join(grave)


def shot(page: "Page", name: str) -> None:
    """Keep a picture of the page in `$SHADOWLINE_SHOTS`, where that names a folder."""
    if folder := os.environ.get("SHADOWLINE_SHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)
