"""Four cameras that share one engine against one that has it alone: latency of the running daemon. Main thread."""

import time
from typing import Any

import numpy as np

from station.bench.line import running_config
from station.event import InspectionEvent

__all__ = ["measure_cameras"]

_COUNTS = (1, 4)
_SECONDS = 10.0

_CAMERA = """
[[camera]]
name = "cam{number}"
type = "simulated"
rate_hz = 60.0
seed = {number}
"""


def measure_cameras() -> dict[str, Any]:
    """Return p50 and p99 from capture to publish by number of cameras (2048×1000, 60 Hz), and the ratio of the p99."""
    figures: dict[str, Any] = {str(count): _measure(count) for count in _COUNTS}
    first, last = (figures[str(count)]["p99_ms"] for count in _COUNTS)
    return figures | {"p99_ratio": round(last / first, 2)}


def _measure(count: int) -> dict[str, Any]:
    cameras = "".join(_CAMERA.format(number=number) for number in range(count))
    latencies, invalid = [], 0
    with running_config(cameras, b"inspection.") as line:
        end_s = time.monotonic() + _SECONDS
        while time.monotonic() < end_s:
            event = line.receive()
            if isinstance(event, InspectionEvent):
                latencies.append((event.published_ns - event.captured_ns) / 1e6)
                invalid += event.verdict == "invalid"
    p50, p99 = np.percentile(latencies, [50, 99])
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "invalid": invalid, "frames": len(latencies)}
