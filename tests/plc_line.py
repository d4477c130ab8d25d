"""A line's gateway and its PLC, each a process of its own."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Plc", "gateway", "tables_of"]

_TABLES = """
[journal]
folder = "{{folder}}/journal"
endpoint = "ipc://{{folder}}/replay"
commit_ms = 20
[gateway.plc]
type = "modbus"
role = "client"
host = "127.0.0.1"
port = {port}
max_age_s = {max_age_s}
cycle_ms = 2.0
backoff_max_s = 1.0
metrics_port = 0
"""


def tables_of(port: int, max_age_s: float) -> str:
    """Return the tables of a journal and of a gateway that writes in the PLC at `port`, for `station.bench.line`."""
    return _TABLES.format(port=port, max_age_s=max_age_s)


class Plc:
    """The PLC's process, which may be killed and started again.

    `taken` are the numbers of the results that it took, over all its lives.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self.taken: list[int] = []
        self._command = [
            sys.executable,
            "-m",
            "tests.system.plc_program",
            "modbus",
            str(port),
            str(folder / "retain"),
            "1",
        ]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reading.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.taken.append(int(line.split()[0]))


@contextmanager
def gateway(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the gateway of the line in that folder; yield its process, which may be killed, and where its metrics are."""
    command = [sys.executable, "-m", "station", "gateway", "plc", "--config", str(folder / "config.toml")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = next(text.split("metrics on ")[1].strip() for text in process.stderr if "metrics on " in text)
    rest = threading.Thread(target=process.stderr.read)
    rest.start()
    try:
        yield process, url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        rest.join()
        process.stderr.close()
