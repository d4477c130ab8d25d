"""The strip map over a coil of 15 km with 200,000 defects: what a view costs the server, and how smoothly it pans.

    python -m tests.benchmarks.console_strip [--defects 200000] [--seconds 8] [--scatter]

A double of a station gives the messages of the coil, and a real `station console` reads them by its own client into
its own tables. Then 400 views are asked for over HTTP, each at another place, and a headless Chromium pans and zooms by
mouse and wheel while it notes when each picture of the screen came. `--scatter` does the same with ECharts' own scatter
instead. There is no GPU: Chromium draws on the processor, which it shares with the console and with this program.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from station.console.database import Database
from station.console.people import Role
from station.console.strip.columns import ColumnCache
from station.console.strip.view import Lane, encode, thin
from station.console.strip.wanted import View
from station.event import Numbered
from tests.console_browser import Site, chromium, station_and_console
from tests.journal_double import JournalDouble, StationDouble, standing
from tests.strip_talk import FRAME_MM, WIDTH_PX, StripTalk, defect

LENGTH_MM = 15e6
CLASSES = ("crazing", "scratches", "patches", "inclusion", "pitted_surface", "rolled-in_scale")
SHARES = (0.5, 0.25, 0.15, 0.07, 0.0295, 0.0005)
ROLL_MM = 1885.0
VIEWS = 400
_NOTE_FRAMES = """() => {
    window.frames_ms = [];
    let last = performance.now();
    const note = (now) => {
        window.frames_ms.push(now - last);
        last = now;
        window.noting = requestAnimationFrame(note);
    };
    window.noting = requestAnimationFrame(note);
}"""
_SCATTER = """async (count) => {
    await import("/static/vendor/echarts.min.js");
    const box = document.createElement("div");
    box.id = "scatter";
    box.style.cssText = "position:fixed;inset:0;background:#222;z-index:99";
    document.body.append(box);
    const data = new Float32Array(2 * count);
    for (let i = 0; i < count; i++) { data[2 * i] = Math.random() * 15000; data[2 * i + 1] = Math.random(); }
    const chart = echarts.init(box);
    chart.setOption({
        animation: false, xAxis: {}, yAxis: {}, dataZoom: [{ type: "inside", xAxisIndex: 0, filterMode: "none" }],
        series: [{ type: "scatter", large: true, symbolSize: 4, data }],
    });
}"""


def make_coil(defects: int, length_mm: float = LENGTH_MM) -> list[Numbered]:
    """Return the messages of a coil with so many defects, a roll's marks among them, and two stretches missed."""
    random = np.random.default_rng(10)
    frames = int(length_mm / FRAME_MM)
    places = np.sort(random.integers(0, frames, defects))
    labels = random.choice(len(CLASSES), defects, p=SHARES)
    x_px, y_px = random.integers(0, 1950, defects), random.integers(0, 380, defects)
    areas = random.gamma(1.5, 300.0, defects).astype(int) + 20
    firsts = np.searchsorted(places, np.arange(frames + 1))
    talk = StripTalk(every_ns=20_000_000)
    for frame in range(frames):
        found = [
            defect(CLASSES[labels[at]], int(x_px[at]), int(y_px[at]), area_px=int(areas[at]))
            for at in range(firsts[frame], firsts[frame + 1])
        ]
        turn_mm = -frame * FRAME_MM % ROLL_MM
        if frame * FRAME_MM < length_mm / 5 and turn_mm < FRAME_MM - 10:
            found.append(defect("patches", 700, int(turn_mm / 0.5), area_px=900))
        talk.frame(frame * FRAME_MM, defects=tuple(found))
    talk.span(0.0, 0.31 * length_mm, "")
    talk.span(0.31 * length_mm, 0.32 * length_mm, "offline")
    talk.span(0.32 * length_mm, 0.7 * length_mm, "")
    talk.span(0.7 * length_mm, 0.7 * length_mm + 5000, "overrun")
    talk.span(0.7 * length_mm + 5000, length_mm, "", ends_coil=True)
    return talk.said


@contextmanager
def console_over(folder: Path, said: list[Numbered]) -> Iterator[tuple[Site, StationDouble]]:
    """Yield a console that has read `said`, and the double of the station that gave it."""
    journal = JournalDouble(said, page_messages=2000)
    endpoint = (f"{folder}/events", f"{folder}/live")
    with (
        standing(folder, journal) as double,
        station_and_console(folder, with_station=False, replace=endpoint) as site,
        site.client(Role.VIEWER) as client,
    ):
        while True:
            double.beat(said[-1].event)
            coils = client.get("/strip/trend").json()
            if coils and coils[-1]["last_event"] >= said[-1].event:
                break
            time.sleep(0.2)
        yield site, double


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--defects", type=int, default=200_000)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--scatter", action="store_true")
    asked = arguments.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    said = make_coil(asked.defects)
    with tempfile.TemporaryDirectory() as name:
        begun = time.perf_counter()
        with console_over(Path(name), said) as (site, _):
            took = time.perf_counter() - begun
            size = sum(file.stat().st_size for file in Path(name, "console").glob("console.db*"))
            print(f"{len(said)} messages in the tables after {took:.1f} s; the database has {size / 1e6:.0f} MB")
            _measure_views(site, Path(name, "console"))
            with chromium() as browser, site.signed_in(browser, Role.VIEWER) as page:
                page.goto(f"{site.url}strip/coils/1")
                page.wait_for_selector("html[data-strip]")
                page.wait_for_selector("html[data-pareto]")
                if asked.scatter:
                    page.evaluate(_SCATTER, asked.defects)
                    _measure_frames(page, "#scatter", asked.seconds, "ECharts scatter")
                else:
                    _measure_frames(page, "#map", asked.seconds, "the map")
    print(f"load after: {os.getloadavg()[0]:.1f}")


def _measure_views(site: Site, folder: Path) -> None:
    """Print what views cost over HTTP, and how much of that is making them."""
    random = np.random.default_rng(0)
    with site.client(Role.VIEWER) as client, Database(folder / "console.db") as database:
        cache = ColumnCache(database)
        lanes = [Lane(int(camera), WIDTH_PX) for camera in np.unique(cache.of(1).camera)]
        begun = time.perf_counter()
        client.get("/strip/coils/1/view", params={"begin": 0, "end": LENGTH_MM}).raise_for_status()
        print(f"first view of a coil, with reading it: {(time.perf_counter() - begun) * 1e3:.0f} ms")
        for part in (1.0, 0.1, 0.01, 0.001):
            length, asked, made, points = LENGTH_MM * part, [], [], []
            for _ in range(VIEWS // 4):
                begin = float(random.uniform(0, LENGTH_MM - length))
                view = View(begin=begin, end=begin + length, width=2700, height=290)
                query = {"begin": begin, "end": begin + length, "width": 2700, "height": 290}
                begun = time.perf_counter()
                client.get("/strip/coils/1/view", params=query).raise_for_status()
                asked.append((time.perf_counter() - begun) * 1e3)
                begun = time.perf_counter()
                columns = cache.of(1)
                thinned = thin(columns, view, lanes)
                size = len(encode(columns, thinned, view, lanes))
                made.append((time.perf_counter() - begun) * 1e3)
                points.append(len(thinned.rows))
            print(
                f"view of {length / 1e3:6.0f} m: {_spread(asked)} over HTTP, of which making it {_spread(made)};"
                f" {np.mean(points):.0f} points, {size / 1e3:.0f} kB"
            )


def _spread(taken_ms: list[float]) -> str:
    p50, p99 = np.percentile(taken_ms, (50, 99))
    return f"p50 {p50:.1f}, p99 {p99:.1f} ms"


def _measure_frames(page: Any, where: str, seconds: float, what: str) -> None:
    box = page.locator(where).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(_NOTE_FRAMES)
    until_s = time.monotonic() + seconds
    page.mouse.move(x, y)
    turn = 0
    while time.monotonic() < until_s:
        turn += 1
        for _ in range(12):
            page.mouse.wheel(0, -200 if turn % 2 else 200)
        page.mouse.down()
        for step in range(20):
            page.mouse.move(x + (10 * step if turn % 4 < 2 else -10 * step), y)
        page.mouse.up()
        page.mouse.move(x, y)
    page.evaluate("cancelAnimationFrame(window.noting)")
    frames = np.array(page.evaluate("window.frames_ms"))
    print(
        f"{what}: {len(frames)} frames in {frames.sum() / 1e3:.1f} s of panning and zooming:"
        f" p50 {np.median(frames):.1f} ms, p99 {np.percentile(frames, 99):.1f} ms, longest {frames.max():.0f} ms;"
        f" {100 * (frames > 50).mean():.2f} % over 50 ms"
    )


if __name__ == "__main__":
    main()
