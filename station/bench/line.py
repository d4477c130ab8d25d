"""Run the real daemon in a process of its own and watch it from outside, as a subscriber and Prometheus would."""

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from station.event import Heartbeat, InspectionEvent, Message, decode

__all__ = ["RunningLine", "measure_flood", "measure_paced", "run_user_script", "running", "running_config"]

_FLOOD_S = 5.0
_PACED_S = 10.0
_RATE_HZ = 60.0

_RING = """
[[camera]]
name = "top"
type = "python"
factory = "station.bench.ring:RingCamera"
settings = {{ regions = {regions}, rate_hz = {rate_hz} }}
"""
_CONFIG = """
[regions]
max_regions = 1000
[publish]
endpoint = "ipc://{folder}/events"
heartbeat_s = 0.5
[metrics]
port = 0
[control]
endpoint = "ipc://{folder}/control"
"""


@dataclass(slots=True)
class RunningLine:
    """A running daemon: its process, its heartbeats or events, and where its metrics are."""

    process: subprocess.Popen[str]
    socket: zmq.Socket[bytes]
    metrics_url: str
    folder: Path
    """Where its sockets are."""

    def receive(self) -> Message | None:
        """Return the next message, None when none came for a second."""
        if not self.socket.poll(1000):
            return None
        return decode(self.socket.recv_multipart()[-1])

    @property
    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return round(pages * 4096 / 2**20, 1)


def running(regions: int, rate_hz: float, topic: bytes, tables: str = "") -> AbstractContextManager[RunningLine]:
    """Start the daemon with a `RingCamera`; as `running_config`."""
    return running_config(_RING.format(regions=regions, rate_hz=rate_hz), topic, tables)


@contextmanager
def running_config(cameras: str, topic: bytes, tables: str = "") -> Iterator[RunningLine]:
    """Start the daemon and subscribe to `topic`; on leaving, stop it and insist that it drained well.

    `cameras` are the tables of its cameras. `tables` are added too; `{folder}` in them is the line's folder.
    """
    with tempfile.TemporaryDirectory() as folder, zmq.Context(io_threads=1) as context:
        config = Path(folder, "config.toml")
        config.write_text(cameras + (_CONFIG + tables).format(folder=folder))
        process = subprocess.Popen(
            [sys.executable, "-m", "station", "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        socket = context.socket(zmq.SUB)
        socket.linger = 0
        socket.rcvhwm = 0
        socket.subscribe(topic)
        socket.connect(f"ipc://{folder}/events")
        try:
            yield RunningLine(process, socket, _wait_until_ready(process), Path(folder))
        finally:
            socket.close()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            if process.returncode:
                raise RuntimeError(f"the station ended with code {process.returncode}")


def _wait_until_ready(process: subprocess.Popen[str]) -> str:
    """Read the daemon's log up to READY and return the address of its metrics."""
    assert process.stderr is not None
    url, log = "", ""
    for line in process.stderr:
        log += line
        if "metrics on " in line:
            url = line.split("metrics on ")[1].strip()
        if "READY" in line:
            return url
    raise RuntimeError(f"the station did not start:\n{log}")


def measure_flood(regions: int, tables: str = "") -> dict[str, Any]:
    """Return `fps` with a camera that is always ready, and resident memory at the start and end of it."""
    with running(regions, 0, b"heartbeat", tables) as line:
        first, start_mib = _beat(line), line.rss_mib
        last = first
        while last.published_ns - first.published_ns < _FLOOD_S * 1e9:
            last = _beat(line)
        frames = last.ledger["top"].inspected - first.ledger["top"].inspected
        seconds = (last.published_ns - first.published_ns) / 1e9
        return {"fps": round(frames / seconds, 1), "rss_mib": {"start": start_mib, "end": line.rss_mib}}


def measure_paced(regions: int, tables: str = "") -> dict[str, Any]:
    """Return capture-to-publish `p50_ms` and `p99_ms` at 60 Hz, scraped every second, and what became invalid."""
    latencies, invalid, late = [], 0, 0
    with running(regions, _RATE_HZ, b"inspection.", tables) as line:
        end_s = time.monotonic() + _PACED_S
        scrape_s = time.monotonic()
        while (now_s := time.monotonic()) < end_s:
            if now_s >= scrape_s:
                scrape_s = now_s + 1.0
                urllib.request.urlopen(line.metrics_url, timeout=5).read()
            event = line.receive()
            if isinstance(event, InspectionEvent):
                latencies.append((event.published_ns - event.captured_ns) / 1e6)
                invalid += event.verdict == "invalid"
                late += event.late
    p50, p99 = np.percentile(latencies, [50, 99])
    return {
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "invalid": invalid,
        "late": late,
        "frames": len(latencies),
    }


def _beat(line: RunningLine) -> Heartbeat:
    while not isinstance(message := line.receive(), Heartbeat):
        if message is None and line.process.poll() is not None:
            raise RuntimeError("the station ended while it was measured")
    return message


def run_user_script(script: Path, regions: int) -> dict[str, Any]:
    """Run the script that a user would write, on the same frames in a process of its own, and return what it prints.

    Raises `RuntimeError` with its last line where it can't run.
    """
    done = subprocess.run(
        [sys.executable, str(script), str(regions)], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"{script} failed").splitlines()[-1])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
