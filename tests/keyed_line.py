"""A real station process whose three sockets ask for keys, on loopback ports; for tests and benchmarks."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from station.security.clients import Domain
from tests.keyed import Keyring

__all__ = ["KeyedLine", "free_ports", "keyed_line"]

_CONFIG = """
[[camera]]
name = "top"
type = "python"
factory = "station.bench.ring:RingCamera"
settings = {{ regions = {regions}, rate_hz = {rate_hz} }}
[publish]
endpoint = "tcp://127.0.0.1:{events}"
heartbeat_s = 0.5
[journal]
folder = "journal"
endpoint = "tcp://127.0.0.1:{replay}"
[control]
endpoint = "ipc://{folder}/control"
network = "tcp://127.0.0.1:{control}"
[security]
folder = "keys"
loopback = {loopback}
[metrics]
port = 0
"""


@dataclass(frozen=True, slots=True)
class KeyedLine:
    """A running station."""

    process: subprocess.Popen[str]
    keyring: Keyring
    endpoints: dict[Domain, str]
    metrics_url: str

    def series(self, name: str) -> dict[str, float]:
        """Return the metrics of that name, by their labels."""
        text = urllib.request.urlopen(self.metrics_url, timeout=10).read().decode()
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
        return {labels.removeprefix(name): float(value) for labels, value in lines}

    def stop(self) -> dict[str, Any]:
        """Let it drain, insist that it ends well, and return its ledger."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        ledger: dict[str, Any] = json.loads(output.splitlines()[-1])
        return ledger


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody uses."""
    with ExitStack() as opened:
        servers = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


@contextmanager
def keyed_line(keyring: Keyring, rate_hz: float = 60.0, regions: int = 3, loopback: bool = True) -> Iterator[KeyedLine]:
    """Start `station run` beside the keys, wait until it is ready, and make sure that it is gone afterwards."""
    folder = keyring.folder.parent
    ports = dict(zip(("events", "replay", "control"), free_ports(3), strict=True))
    text = _CONFIG.format(folder=folder, regions=regions, rate_hz=rate_hz, loopback=str(loopback).lower(), **ports)
    (folder / "config.toml").write_text(text)
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "station", "run", "--config", str(folder / "config.toml")],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith(("STATION__", "NOTIFY"))},
        )
    try:
        url = _wait_until_ready(process, log)
        endpoints: dict[Domain, str] = {
            "events": f"tcp://127.0.0.1:{ports['events']}",
            "replay": f"tcp://127.0.0.1:{ports['replay']}",
            "control": f"tcp://127.0.0.1:{ports['control']}",
        }
        yield KeyedLine(process, keyring, endpoints, url)
    finally:
        process.kill()
        process.communicate()


def _wait_until_ready(process: subprocess.Popen[str], log: Path) -> str:
    """Return the address of the metrics once the log says that the station is ready."""
    with log.open() as lines:
        url = ""
        while process.poll() is None:
            line = lines.readline()
            if "metrics on " in line:
                url = line.split("metrics on ")[1].strip()
            if "READY" in line:
                return url
            if not line:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
    raise RuntimeError(f"the station did not start:\n{log.read_text()}")
