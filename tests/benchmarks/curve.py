"""What keys and encryption cost the line: the same station with and without them, one subscriber, turn by turn.

    python -m tests.benchmarks.curve [ROUNDS]

Prints one line of JSON: frames a second of a camera that is always ready, and milliseconds from capture to hearing at
60 Hz, as medians over the rounds; ratios and differences are within each round, so that a busy computer shifts both.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

from station.event import InspectionEvent, decode
from station.security.keys import read_client_keys
from tests.keyed import Keyring, knocking
from tests.keyed_line import keyed_line

_WARM_S, _FLOOD_S, _PACED_S = 1.0, 5.0, 10.0


def measure(keyed: bool) -> dict[str, float]:
    """Return the figures of one station."""
    flood, _ = _listen(keyed, 0.0, _FLOOD_S)
    paced, late_ms = _listen(keyed, 60.0, _PACED_S)
    decided_ms = [message.latency_ms for message in paced]
    seconds = (flood[-1].captured_ns - flood[0].captured_ns) / 1e9
    return {
        "fps": (flood[-1].sequence - flood[0].sequence) / seconds,
        "decided_p99_ms": float(np.percentile(decided_ms, 99)),
        "published_p99_ms": float(np.percentile([(one.published_ns - one.captured_ns) / 1e6 for one in paced], 99)),
        "heard_p50_ms": float(np.percentile(late_ms, 50)),
        "heard_p99_ms": float(np.percentile(late_ms, 99)),
    }


def _listen(keyed: bool, rate_hz: float, seconds: float) -> tuple[list[InspectionEvent], list[float]]:
    """Return what was heard of a station in so many seconds, and milliseconds from each capture to hearing."""
    with tempfile.TemporaryDirectory() as place:
        keyring = Keyring(Path(place))
        keys = read_client_keys(keyring.folder) if keyed else None
        with keyed_line(keyring, rate_hz, loopback=keyed) as line:
            with knocking(line.endpoints["events"], zmq.SUB, keys) as socket:
                socket.rcvhwm = 0
                _hear(socket, _WARM_S)
                heard = _hear(socket, seconds)
            line.stop()
    return [message for message, _ in heard], [late_ms for _, late_ms in heard]


def _hear(socket: zmq.Socket[bytes], seconds: float) -> list[tuple[InspectionEvent, float]]:
    heard, end_s = [], time.monotonic() + seconds
    while time.monotonic() < end_s:
        if socket.poll(100):
            payload, now_ns = socket.recv_multipart()[-1], time.time_ns()
            message = decode(payload)
            if isinstance(message, InspectionEvent):
                heard.append((message, (now_ns - message.captured_ns) / 1e6))
    return heard


def compare(rounds: int) -> dict[str, Any]:
    """Return medians over `rounds`, each with and without keys, in alternating order."""
    load = psutil.getloadavg()[0]
    with_keys, without = [], []
    for number in range(rounds):
        for keyed in (True, False) if number % 2 else (False, True):
            (with_keys if keyed else without).append(measure(keyed))
    pairs = list(zip(with_keys, without, strict=True))

    def median(name: str, rows: list[dict[str, float]]) -> float:
        return round(statistics.median(row[name] for row in rows), 3)

    return {
        "rounds": rounds,
        "load_before": round(load, 2),
        "with_keys": {name: median(name, with_keys) for name in with_keys[0]},
        "without": {name: median(name, without) for name in without[0]},
        "fps_ratio": round(statistics.median(on["fps"] / off["fps"] for on, off in pairs), 4),
        "p99_more_ms": {
            name: round(statistics.median(on[name] - off[name] for on, off in pairs), 3)
            for name in with_keys[0]
            if name != "fps"
        },
    }


if __name__ == "__main__":
    print(json.dumps(compare(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
