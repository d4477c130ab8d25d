"""A line whose disk is full for minutes in mid-run, and what ledger, journal and archive say afterwards. As root.

    python -m tests.benchmarks.disk_full [--minutes 10]

The disk is a small one in memory. Prints one line of JSON; raises where the station ends or a number is missing.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from station.client import Client, Gap, Item
from station.event import Heartbeat, InspectionEvent, LossEvent, ServiceEvent

_DISK_MB = 48
_CONFIG = """
[[camera]]
name = "top"
type = "simulated"
width_px = 512
height_px = 256
rate_hz = 60.0
[engine]
backend = "fake"
[publish]
endpoint = "ipc://{folder}/events"
[journal]
folder = "{folder}/disk/journal"
endpoint = "ipc://{folder}/replay"
[archive]
folder = "{folder}/disk/archive"
frames_free_mb = 12
crops_free_mb = 8
max_mb = 16
[metrics]
enabled = false
[control]
enabled = false
"""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of `_DISK_MB` for the length of the block."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "none", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on `disk` and return the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def follow(client: Client, seconds: float, until: str = "") -> list[Item]:
    """Return what comes for so long, or up to the heartbeat in which the journal is in the state `until`."""
    heard: list[Item] = []
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        item = client.receive(left_s)
        if item is not None:
            heard.append(item)
        if isinstance(item, Heartbeat) and item.journal is not None and item.journal.state == until:
            break
    return heard


def measure(minutes: float) -> dict[str, Any]:
    """Run the line: a while with room, `minutes` without, then with room again."""
    with tempfile.TemporaryDirectory() as name, small_disk(Path(name)) as disk:
        folder = Path(name)
        (folder / "config.toml").write_text(_CONFIG.format(folder=folder))
        command = [sys.executable, "-m", "station", "run", "--config", str(folder / "config.toml")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            with Client(f"ipc://{folder}/events", f"ipc://{folder}/replay", start="first", heartbeats=True) as client:
                heard = follow(client, 15.0)
                filler = fill(disk)
                heard += follow(client, minutes * 60)
                filler.unlink()
                heard += follow(client, 60.0, until="online") + follow(client, 15.0)
                process.send_signal(signal.SIGTERM)
                ledger = json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
        finally:
            process.kill()
            process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the station ended with code {process.returncode}")
        return {"minutes": minutes, "ledger": ledger} | _sum_up(heard) | _verify(folder)


def _sum_up(heard: list[Item]) -> dict[str, Any]:
    numbers = [item.event for item in heard if not isinstance(item, Heartbeat | Gap) and hasattr(item, "event")]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise RuntimeError("a number is missing, or came twice")
    return {
        "heard": len(numbers),
        "inspections": sum(isinstance(item, InspectionEvent) for item in heard),
        "gaps": [str(item) for item in heard if isinstance(item, Gap)],
        "losses": [[item.first, item.last] for item in heard if isinstance(item, LossEvent)],
        "states": [f"{item.service} {item.state} {item.detail}" for item in heard if isinstance(item, ServiceEvent)],
        "most_waiting": max(item.journal.waiting for item in heard if isinstance(item, Heartbeat) and item.journal),
    }


def _verify(folder: Path) -> dict[str, Any]:
    """Return what the commands say of journal and archive."""
    found = {}
    for word in ("journal", "archive"):
        words = ["verify"] if word == "journal" else ["info"]
        command = [sys.executable, "-m", "station", word, *words, "--json", "--config", str(folder / "config.toml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found[word] = json.loads(done.stdout) if done.stdout else done.stderr
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    print(json.dumps(measure(parser.parse_args().minutes)))
