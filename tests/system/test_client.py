"""The client and a real station: killed in mid-stream, consumers that come back, subscribers that are too slow."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from station.client import Client, Gap, Item, Silence
from station.event import InspectionEvent, decode

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "station"]
CONFIG = """
[[camera]]
name = "top"
type = "simulated"
width_px = 64
height_px = 64
rate_hz = {rate}
[engine]
backend = "fake"
[publish]
endpoint = "ipc://{folder}/events"
heartbeat_s = 0.2
high_water_mark = {high_water_mark}
[journal]
folder = "journal"
endpoint = "ipc://{folder}/replay"
[metrics]
enabled = false
[control]
enabled = false
"""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("STATION__", "NOTIFY"))}


@contextmanager
def running(folder: Path, rate: int = 200, high_water_mark: int = 1000) -> Iterator[subprocess.Popen[str]]:
    """Run a station with a journal in `folder`; it is killed at the end."""
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder, rate=rate, high_water_mark=high_water_mark))
    words = [*COMMAND, "run", "--config", str(config)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
    assert process.stderr is not None
    try:
        log = ""
        while "READY" not in log:
            log += (line := process.stderr.readline())
            assert line, log
        yield process
    finally:
        process.kill()
        process.communicate()


def connect(folder: Path, **how: object) -> Client:
    return Client(f"ipc://{folder}/events", f"ipc://{folder}/replay", timeout_s=30, **how)  # type: ignore[arg-type]


def take(client: Client, count: int) -> list[Item]:
    """Take so many items, silences of a busy computer aside."""
    items: list[Item] = []
    while len(items) < count:
        item = client.receive(20)
        assert item is not None, "nothing comes"
        if not isinstance(item, Silence):
            items.append(item)
    return items


def numbers(items: list[Item]) -> list[int]:
    """Return the numbers that messages and gaps stand for, in their order."""
    found: list[int] = []
    for item in items:
        if isinstance(item, Gap):
            found += range(item.first, item.last + 1)
        elif hasattr(item, "event"):
            found.append(item.event)
    return found


def tail(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "tail", "--config", str(folder / "config.toml"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment(), check=False)


def test_every_message_comes_once_over_stations_that_are_killed(tmp_path: Path) -> None:
    items: list[Item] = []
    with running(tmp_path) as station, connect(tmp_path, start="first") as client:
        items += take(client, 150)
        for _ in range(2):
            station.send_signal(signal.SIGKILL)
            station.wait(10)
            with running(tmp_path):
                items += take(client, 150)
        with running(tmp_path):
            items += take(client, 50)
            on_disk = [
                decode(line.encode())
                for line in tail(tmp_path, "--from=start", "--no-follow", "--json").stdout.splitlines()
            ]
            newest = max(message.event for message in on_disk)  # type: ignore[union-attr]
            while numbers(items[-1:])[-1:] < [newest]:
                items += take(client, 1)
    assert numbers(items) == [*range(1, numbers(items)[-1] + 1)]
    given = {item.event for item in items if isinstance(item, InspectionEvent)}
    assert given >= {message.event for message in on_disk if isinstance(message, InspectionEvent)}
    assert len({item.origin.run for item in items if isinstance(item, InspectionEvent)}) == 4


def test_a_consumer_that_is_started_anew_goes_on_where_it_was(tmp_path: Path) -> None:
    done: list[int] = []
    with running(tmp_path):
        for _ in range(3):
            with connect(tmp_path, start="first", consumer="mes") as client:
                for item in take(client, 120):
                    done += numbers([item])
                    client.acknowledge(done[-1])
    with running(tmp_path), connect(tmp_path, consumer="mes") as client:
        done += numbers(take(client, 120))
    assert done == [*range(1, done[-1] + 1)]


def test_what_the_publisher_dropped_for_a_slow_subscriber_is_read_from_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("station.client.sockets._MAX_WAITING", 1)
    with (
        running(tmp_path, rate=0, high_water_mark=1) as station,
        connect(tmp_path, start="first") as slow,
    ):
        items = take(slow, 1)
        with connect(tmp_path, start="first") as quick:
            take(quick, 3000)
        items += take(slow, 3000)
        assert station.poll() is None
    assert numbers(items) == [*range(1, 3002)]
    assert not any(isinstance(item, Gap) for item in items)
