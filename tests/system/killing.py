"""A station that is killed at random moments, over and over, and what its journal and its listeners then agree on."""

import os
import random
import re
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from station.event import Heartbeat, LossEvent, decode
from station.journal.database import open_reader
from station.journal.protocol import split
from station.journal.reader import every_batch
from station.journal.writer import DATABASE

__all__ = ["Kills", "kill_over_and_over"]

_CONFIG = """
[station]
name = "killed"
[[camera]]
name = "top"
type = "simulated"
width_px = 256
height_px = 128
rate_hz = 300.0
[engine]
backend = "fake"
[publish]
endpoint = "ipc://{folder}/events"
heartbeat_s = 0.2
[journal]
folder = "journal"
endpoint = "ipc://{folder}/replay"
[metrics]
enabled = false
[control]
enabled = false
"""


@dataclass
class Kills:
    """What came of a series of kills."""

    opened_s: list[float] = field(default_factory=list)
    """Time that the journal took to open, at each start that came so far."""
    heard: dict[int, bytes] = field(default_factory=dict)
    """What a live listener got, by number."""
    clashes: list[int] = field(default_factory=list)
    """Numbers that two different messages carried."""
    kept: dict[int, bytes] = field(default_factory=dict)
    """What is in the journal in the end."""
    lost: list[LossEvent] = field(default_factory=list)
    """Losses as the journal has them announced."""
    last: int = 0

    @property
    def missing(self) -> set[int]:
        """Numbers that are not in the journal."""
        return set(range(1, self.last + 1)) - self.kept.keys()

    @property
    def announced(self) -> set[int]:
        """Numbers that were announced as lost."""
        return {number for loss in self.lost for number in range(loss.first, loss.last + 1)}

    @property
    def heard_otherwise(self) -> list[int]:
        """Numbers under which the journal has another message than the listener got."""
        return [number for number, payload in self.heard.items() if self.kept.get(number, payload) != payload]


def kill_over_and_over(folder: Path, kills: int, seed: int = 1) -> Kills:
    """Start a station `kills` times and kill it each time, then run it once to its end; `folder` is its own."""
    (folder / "config.toml").write_text(_CONFIG.format(folder=folder))
    result, moments = Kills(), random.Random(seed)
    with zmq.Context(io_threads=1) as context, context.socket(zmq.SUB) as socket:
        socket.linger, socket.rcvhwm, socket.reconnect_ivl = 0, 0, 10
        socket.subscribe(b"")
        socket.connect(f"ipc://{folder}/events")
        for _ in range(kills):
            _run_and_kill(folder, socket, result, moments)
        _run_to_the_end(folder, socket, result)
    _read_journal(folder / "journal" / DATABASE, result)
    opened = re.findall(r"opened in ([0-9.]+) s", (folder / "log").read_text())
    result.opened_s += [float(seconds) for seconds in opened]
    return result


def _run_and_kill(folder: Path, socket: zmq.Socket[bytes], result: Kills, moments: random.Random) -> None:
    """Kill a station while it starts, or a moment after its first message was heard."""
    with _start(folder) as process:
        try:
            known = len(result.heard)
            if moments.random() < 0.3:
                _hear(socket, result, moments.uniform(0, 2.5))
            else:
                while len(result.heard) == known:
                    assert process.poll() is None, (folder / "log").read_text()[-2000:]
                    _hear(socket, result, 0.05)
                _hear(socket, result, moments.uniform(0, 0.5))
        finally:
            process.kill()
    _hear(socket, result, 0.05)


def _run_to_the_end(folder: Path, socket: zmq.Socket[bytes], result: Kills) -> None:
    with _start(folder, "--max-frames", "100") as process:
        while process.poll() is None:
            _hear(socket, result, 0.1)
    assert process.returncode == 0, (folder / "log").read_text()[-2000:]
    _hear(socket, result, 0.05)


def _start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "station", "run", "--config", str(folder / "config.toml"), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STATION__", "NOTIFY"))}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=log, env=environment | {"RUNTIME_DIRECTORY": str(folder)}
        )


def _hear(socket: zmq.Socket[bytes], result: Kills, seconds: float) -> None:
    """Note what is heard for so long."""
    end_s = time.monotonic() + seconds
    while socket.poll(max(0, round((end_s - time.monotonic()) * 1e3))):
        payload = socket.recv_multipart()[-1]
        message = decode(payload)
        if not isinstance(message, Heartbeat) and result.heard.setdefault(message.event, payload) != payload:
            result.clashes.append(message.event)
        if time.monotonic() > end_s:
            return


def _read_journal(path: Path, result: Kills) -> None:
    with closing(open_reader(path)) as connection:
        for batch, crc in every_batch(connection):
            assert batch.crc == crc
            lines = batch.lines.split(b"\n")
            result.kept |= dict(zip(range(batch.first, batch.last + 1), lines, strict=True))
            result.lost += [message for message in split(batch.lines) if isinstance(message, LossEvent)]
            result.last = batch.last
