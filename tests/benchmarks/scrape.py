"""What a scrape costs: its size, its time, and the line's latency with a scrape every second, without, and besieged.

    python -m tests.benchmarks.scrape [SECONDS]

The daemon runs at 60 Hz with three regions a frame; stretches of three seconds take turns for SECONDS (120): quiet,
with a scrape a second, and with scrapes while another process opens a hundred connections a second and asks nothing.
Prints one line of JSON; read the ratios, times are of this computer.
"""

import json
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from prometheus_client import generate_latest

from station.bench.line import RunningLine, running
from station.event import InspectionEvent
from tests.metrics_table import whole_station

STRETCH_S = 3.0
REGIONS, RATE_HZ = 3, 60.0
SIEGE = """
import socket, sys, time
from collections import deque
held = deque(maxlen=500)
while True:
    held.append(socket.socket())
    held[-1].setblocking(False)
    held[-1].connect_ex(("127.0.0.1", int(sys.argv[1])))
    time.sleep(0.01)
"""


def measure_text(times: int = 200) -> dict[str, Any]:
    """Return size and making time of the text of a station with all its parts; making it holds the interpreter."""
    with whole_station() as station:
        registry = station._metrics.registry
        spent_ms = []
        for _ in range(times):
            start_s = time.thread_time()
            text = generate_latest(registry)
            spent_ms.append((time.thread_time() - start_s) * 1e3)
    return {"lines": len(text.splitlines()), "bytes": len(text), "ms": round(statistics.median(spent_ms), 2)}


def measure_line(seconds: float) -> dict[str, Any]:
    """Return p50 and p99 of capture to publish in each manner, those of p99 over quiet, and how long answers take."""
    latencies: dict[str, list[float]] = {"quiet": [], "scraped": [], "besieged": []}
    answers_ms: dict[str, list[float]] = {"scraped": [], "besieged": []}
    with running(REGIONS, RATE_HZ, b"inspection.") as line:
        _listen(line, STRETCH_S / 2, None)
        for _ in range(max(1, round(seconds / STRETCH_S / len(latencies)))):
            for manner, heard in latencies.items():
                with besieging(line.metrics_url) if manner == "besieged" else nullcontext():
                    heard += _listen(line, STRETCH_S, answers_ms.get(manner))
    result: dict[str, Any] = {}
    for manner, heard in latencies.items():
        p50, p99 = np.percentile(heard, [50, 99])
        result[manner] = {"frames": len(heard), "p50_ms": round(p50, 3), "p99_ms": round(p99, 3)}
    for manner, spent_ms in answers_ms.items():
        result[manner]["p99_ratio"] = round(result[manner]["p99_ms"] / result["quiet"]["p99_ms"], 3)
        result[manner]["answer_ms"] = {"p50": round(statistics.median(spent_ms), 2), "max": round(max(spent_ms), 2)}
    return result


@contextmanager
def besieging(url: str) -> Iterator[None]:
    """Let a process open up to a hundred connections a second for the length of the block, and say nothing on them."""
    port = urllib.parse.urlsplit(url).port
    siege = subprocess.Popen([sys.executable, "-c", SIEGE, str(port)])
    try:
        yield
    finally:
        siege.kill()
        siege.wait()


def _listen(line: RunningLine, seconds: float, answers_ms: list[float] | None) -> list[float]:
    """Return the latencies, in milliseconds, of so many seconds; scrape each second where `answers_ms` is given."""
    latencies = []
    end_s = scrape_s = time.monotonic()
    end_s += seconds
    while (now_s := time.monotonic()) < end_s:
        if answers_ms is not None and now_s >= scrape_s:
            scrape_s = now_s + 1.0
            with urllib.request.urlopen(line.metrics_url, timeout=5) as answer:
                answer.read()
            answers_ms.append((time.monotonic() - now_s) * 1e3)
        event = line.receive()
        if isinstance(event, InspectionEvent):
            latencies.append((event.published_ns - event.captured_ns) / 1e6)
    return latencies


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    print(json.dumps({"text": measure_text(), "line": measure_line(seconds)}))
