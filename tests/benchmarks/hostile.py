"""A million messages that mean harm, to each socket of a station that inspects at 60 Hz: what becomes of it?

    python -m tests.benchmarks.hostile [MESSAGES]

Prints one line of JSON; `tests/system/test_security.py` sends a few thousand. The peers run at the lowest priority, and
the station's p99 is told as ratio to that of the quiet time before.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

from shadowline.errors import StationError
from station.control_protocol import Status, ask
from station.event import InspectionEvent, decode
from station.security.clients import DOMAINS, Domain
from station.security.keys import read_client_keys
from tests.keyed import Keyring, knocking
from tests.keyed_line import KeyedLine, keyed_line

__all__ = ["attack"]

_SETTLE_S = 4.0


class _Ear:
    """Listens as a client of its own, and keeps how late each inspection was decided and heard."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket

    def listen(self, until: Callable[[], bool]) -> dict[str, float]:
        """Listen until `until` says so; return milliseconds from capture to decision, and how much was heard."""
        latencies_ms: list[float] = []
        sequences: list[int] = []
        while not until():
            if self._socket.poll(100):
                message = decode(self._socket.recv_multipart()[-1])
                if isinstance(message, InspectionEvent):
                    latencies_ms.append(message.latency_ms)
                    sequences.append(message.sequence)
        p50, p99 = np.percentile(latencies_ms, [50, 99])
        return {
            "frames": sequences[-1] - sequences[0] + 1,
            "heard": len(sequences),
            "p50_ms": round(p50, 3),
            "p99_ms": round(p99, 3),
        }


def attack(keyring: Keyring, messages: int, quiet_s: float = 20.0) -> dict[str, Any]:
    """Send at least `messages` to each socket of a station and return what was seen of it, before and after."""
    own = read_client_keys(keyring.folder)
    for domain in DOMAINS:
        keyring.client(f"bad-{domain}", domain)
    with keyed_line(keyring) as line, knocking(line.endpoints["events"], zmq.SUB, own) as socket:
        ear, process = _Ear(socket), psutil.Process(line.process.pid)
        quiet = ear.listen(_for_s(quiet_s))
        before, load = _state(process), psutil.getloadavg()[0]
        started_s = time.monotonic()
        peers = {domain: _start(line, domain, messages) for domain in DOMAINS}
        most = _Most(process)
        attacked = ear.listen(lambda: most.look() and all(peer.poll() is not None for peer in peers.values()))
        seconds = time.monotonic() - started_s
        ways = {domain: json.loads(peer.communicate()[0]) for domain, peer in peers.items()}
        ear.listen(_for_s(_SETTLE_S))
        after, refused = _state(process), line.series("station_gate_refused_total")
        return {
            "messages": {domain: sum(ways[domain].values()) for domain in DOMAINS},
            "sent": ways,
            "seconds": round(seconds, 1),
            "refused": {domain: _of(domain, refused) for domain in DOMAINS},
            "peers": line.series("station_gate_peers_total"),
            "quiet": quiet,
            "attacked": attacked,
            "p99_ratio": round(attacked["p99_ms"] / quiet["p99_ms"], 2),
            "load_before": round(load, 2),
            **{name: {"before": before[name], "most": most.of[name], "after": after[name]} for name in before},
            "answers_after": _answers(line),
            "ledger": line.stop(),
        }


class _Most:
    """The most that was seen of each figure."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.of = _state(process)

    def look(self) -> bool:
        now = _state(self._process)
        self.of = {name: max(now[name], most) for name, most in self.of.items()}
        return True


def _state(process: psutil.Process) -> dict[str, float]:
    return {
        "rss_mib": round(process.memory_info().rss / 2**20, 1),
        "handles": process.num_fds(),
        "threads": process.num_threads(),
    }


def _for_s(seconds: float) -> Callable[[], bool]:
    end_s = time.monotonic() + seconds
    return lambda: time.monotonic() > end_s


def _start(line: KeyedLine, domain: Domain, messages: int) -> subprocess.Popen[bytes]:
    folder = line.keyring.client_folder(f"bad-{domain}")
    words = [domain, line.endpoints[domain], str(folder), str(messages)]
    return subprocess.Popen(["nice", "-n", "19", sys.executable, "-m", "tests.hostile", *words], stdout=subprocess.PIPE)


def _of(domain: Domain, refused: dict[str, float]) -> dict[str, float]:
    """Return the counts of `domain` by reason."""
    found = {}
    for labels, count in refused.items():
        reason = labels.split('reason="')[1].split('"')[0]
        if f'socket="{domain}"' in labels:
            found[reason] = count
    return found


def _answers(line: KeyedLine) -> bool:
    """Whether the station still answers who may ask."""
    try:
        return ask(line.endpoints["control"], Status(), 10.0, read_client_keys(line.keyring.folder)).stage == "idle"
    except StationError:
        return False


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(attack(Keyring(Path(place)), int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)))
