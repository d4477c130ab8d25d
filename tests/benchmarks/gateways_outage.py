"""A PLC that is dead for ten thousand results, and what the line notices of it. Main thread.

    python -m tests.benchmarks.gateways_outage [--results 10000] [--rate-hz 250] [--max-age-s 10]

A line with a journal, a gateway that writes in a PLC's registers, and that PLC, each a process. The PLC is killed,
comes back with its retentive memory, and says which results it took. Prints JSON: latencies of the line before,
meanwhile and after, what the PLC took, and what the gateway reported as expired.
"""

import argparse
import json
import re
import socket
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from station.bench.line import RunningLine, running
from station.event import InspectionEvent
from tests.plc_line import Plc, gateway, tables_of

_PHASE = 2000


def counted(url: str, name: str) -> float:
    """Return the value of the gateway's counter whose line begins with `name`."""
    text = urllib.request.urlopen(url, timeout=5).read().decode()
    found = re.search(rf"^station_gateway_{re.escape(name)}.*}} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found.group(1))


def latencies(line: RunningLine, count: int) -> dict[str, Any]:
    """Return what the line's next `count` results took, and the last of their numbers."""
    taken: list[float] = []
    last = 0
    while len(taken) < count:
        event = line.receive()
        if isinstance(event, InspectionEvent):
            taken.append((event.published_ns - event.captured_ns) / 1e6)
            last = event.event
    cuts = statistics.quantiles(taken, n=100)
    return {"results": count, "p50_ms": round(cuts[49], 3), "p99_ms": round(cuts[98], 3), "last": last}


def measure(results: int, rate_hz: float, max_age_s: float) -> dict[str, Any]:
    """Return the figures."""
    with socket.create_server(("127.0.0.1", 0)) as free, tempfile.TemporaryDirectory() as folder:
        port = free.getsockname()[1]
        plc = Plc(port, Path(folder))
        free.close()
        tables = tables_of(port, max_age_s)
        with running(0, rate_hz, b"inspection.", tables) as line, gateway(line.folder) as (_, url):
            plc.start()
            while counted(url, "carried_results_total{") < rate_hz:
                time.sleep(0.1)
            figures = {"alive": latencies(line, _PHASE)}
            plc.kill()
            figures["dead"] = latencies(line, results)
            plc.start()
            figures["back"] = latencies(line, _PHASE)
            end = figures["back"]["last"]
            while not plc.taken or plc.taken[-1] < end:
                time.sleep(0.05)
            told = {name: counted(url, f"{name}_total{{") for name in ("expired_results", "lost_messages")}
            own = ("not_acknowledged", "overruns")
            told |= {name: counted(url, f'events_total{{gateway="plc",what="{name}"') for name in own}
        plc.kill()
    return figures | {
        "taken": len(plc.taken),
        "in_order_and_once": plc.taken == sorted(set(plc.taken)),
        "not_taken": plc.taken[-1] - plc.taken[0] + 1 - len(plc.taken),
        "told": told,
        "p99_ratio": round(figures["dead"]["p99_ms"] / figures["alive"]["p99_ms"], 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--rate-hz", type=float, default=250.0)
    parser.add_argument("--max-age-s", type=float, default=10.0)
    options = parser.parse_args()
    print(json.dumps(measure(options.results, options.rate_hz, options.max_age_s), indent=1))
