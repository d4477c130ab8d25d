"""Say what browsers on the live page cost the line, and how old what they show is. Main thread.

    python -m tests.benchmarks.console_live [--browsers 10] [--seconds 60]

A line of 2048×1000 at 60 Hz, three regions a frame, all of which reject and are kept; its console; and clients that do
what the page does: follow the updates, and fetch each picture. They are a process of their own of low priority, since
they stand for other computers. With and without take turns in one run, ten seconds each, so that what else the
computer does meets both. Then a real Chromium opens the page, and at the end the station is killed.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import zmq

from station.console.people import Role
from station.event import InspectionEvent, decode
from tests.console_browser import Site, chromium, station_and_console

CAMERA = """
[[camera]]
name = "top"
type = "python"
factory = "station.bench.ring:RingCamera"
settings = { regions = 3, rate_hz = 60.0 }
"""
ARCHIVE = """
[archive]
folder = "{folder}/archive"
frames_free_mb = 1
crops_free_mb = 1
"""
TURN_S, SETTLE_S = 10.0, 1.0
LOW_PRIORITY = 15
SERVICE_PRIORITY = 10
"""As systemd/station-console.service has it."""


class Client:
    """One browser's two connections."""

    def __init__(self, url: str, cookie: str) -> None:
        self._place = urlsplit(url).netloc
        self._headers = {"Cookie": cookie}
        self.ages_ms: list[float] = []
        self.bytes = 0

    def browse(self, stopping: Event) -> None:
        """Follow the page until `stopping`."""
        shown = ""
        with (
            closing(http.client.HTTPConnection(self._place, timeout=10)) as following,
            closing(http.client.HTTPConnection(self._place, timeout=10)) as fetching,
        ):
            following.request("GET", "/live/updates", headers=self._headers)
            stream = following.getresponse()
            while not stopping.is_set():
                line = stream.readline()
                self.bytes += len(line)
                if line.startswith(b"data: "):
                    picture = json.loads(line[6:])["cameras"][0]["picture"]
                    if picture and picture["version"] != shown:
                        shown = picture["version"]
                        self._fetch(fetching, shown)

    def _fetch(self, connection: http.client.HTTPConnection, version: str) -> None:
        asked_s = time.perf_counter()
        connection.request("GET", f"/live/picture/top/{version}", headers=self._headers)
        answer = connection.getresponse()
        self.bytes += len(answer.read())
        if answer.status == 200:
            self.ages_ms.append(float(answer.headers["X-Age-Ms"]) + (time.perf_counter() - asked_s) * 1e3)


def browse_all(url: str, cookie: str, count: int, stopping: Event, told: Any) -> None:
    """Be so many browsers, and tell at the end how old their pictures were. A process of its own."""
    os.nice(LOW_PRIORITY)
    clients = [Client(url, cookie) for _ in range(count)]
    threads = [threading.Thread(target=client.browse, args=(stopping,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.put(([age for client in clients for age in client.ages_ms], sum(client.bytes for client in clients)))


@contextmanager
def browsing(site: Site, count: int, ages_ms: list[float]) -> Iterator[None]:
    """Have so many browsers look meanwhile, and add how old their pictures were when they came."""
    spawning = multiprocessing.get_context("spawn")
    stopping, told = spawning.Event(), spawning.Queue()
    with site.client(Role.VIEWER) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    process = spawning.Process(target=browse_all, args=(site.url, cookie, count, stopping, told))
    process.start()
    try:
        yield
    finally:
        stopping.set()
        ages_ms += told.get(timeout=30)[0]
        process.join()


def listen(socket: "zmq.Socket[bytes]", seconds: float) -> list[float]:
    """Return the latencies from capture to publishing in ms that come in so many seconds, after a moment."""
    until_s, heard = time.monotonic() + SETTLE_S + seconds, []
    while (left_s := until_s - time.monotonic()) > 0:
        if socket.poll(100):
            event = decode(socket.recv_multipart()[-1])
            if isinstance(event, InspectionEvent) and left_s < seconds:
                heard.append((event.published_ns - event.captured_ns) / 1e6)
    return heard


def compare(site: Site, browsers: int, seconds: float) -> None:
    """Print p50, p90 and p99 of the line with and without, the pictures' ages and what the console takes."""
    latencies: dict[str, list[list[float]]] = {"without": [], "with": []}
    ages_ms: list[float] = []
    console, memory = psutil.Process(site.console.pid), []
    for thread in console.threads():  # those that they begin inherit it
        os.setpriority(os.PRIO_PROCESS, thread.id, SERVICE_PRIORITY)
    with zmq.Context(io_threads=1) as context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.subscribe(b"inspection.")
        socket.connect(f"ipc://{site.folder}/events")
        for _ in range(max(1, round(seconds / 2 / TURN_S))):
            latencies["without"].append(listen(socket, TURN_S))
            with browsing(site, browsers, ages_ms):
                listen(socket, 3.0)  # the clients begin
                before_s, begun_s = sum(console.cpu_times()[:2]), time.monotonic()
                latencies["with"].append(listen(socket, TURN_S))
                load = (sum(console.cpu_times()[:2]) - before_s) / (time.monotonic() - begun_s)
            memory.append(console.memory_full_info().pss / 2**20)
    p99s = {name: tell_latencies(name, turns) for name, turns in latencies.items()}
    print(f"p99 with / without: {p99s['with'] / p99s['without']:.3f}")
    print(f"console: {load:.2f} of a core in the last turn; MiB after each turn: {[round(one, 1) for one in memory]}")
    p50, p99 = np.percentile(ages_ms, [50, 99])
    print(f"age of a picture when it is there: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(ages_ms)} pictures")


def tell_latencies(name: str, turns: list[list[float]]) -> float:
    """Print the latencies of these turns together and the p99 of each; return the p99 of all."""
    p50, p90, p99 = np.percentile(np.concatenate(turns), [50, 90, 99])
    each = [round(float(np.percentile(turn, 99)), 2) for turn in turns]
    print(f"{name}: p50 {p50:.2f}, p90 {p90:.2f}, p99 {p99:.2f} ms, {sum(map(len, turns))} frames; p99s {each}")
    return float(p99)


def time_page(site: Site, loads: int = 5) -> None:
    """Print how long after its load a real browser shows a live picture."""
    with chromium() as browser, site.signed_in(browser, Role.VIEWER) as page:
        spent_ms = []
        for _ in range(loads):
            page.goto(site.url + "live")
            page.wait_for_selector('.live-camera[data-age="live"]')
            spent_ms.append(page.evaluate("performance.now()"))
    print(f"Chromium: live picture after {[round(one) for one in spent_ms]} ms")


def time_silence(site: Site) -> None:
    """Print how long after a station's death the page's updates say so, and after its start that it is back."""
    with site.client(Role.VIEWER) as client, client.stream("GET", "live/updates") as stream:
        updates = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
        next(updates)
        killed_s = time.monotonic()
        site.station.kill()
        next(one for one in updates if not one["online"])
        print(f"station killed: said after {time.monotonic() - killed_s:.2f} s")
        site.station.start()
        ready_s = time.monotonic()
        next(one for one in updates if one["online"])
        print(f"station ready again: said after {time.monotonic() - ready_s:.2f} s")


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browsers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, station_and_console(Path(folder), CAMERA, ARCHIVE) as site:
        compare(site, arguments.browsers, arguments.seconds)
        time_page(site)
        time_silence(site)
    print(f"load of the computer: {os.getloadavg()}")


if __name__ == "__main__":
    main()
