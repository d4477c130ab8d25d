"""How long a verdict takes from the station's publisher into a PLC's memory, and whether reconnecting leaves anything.

    python -m tests.benchmarks.gateways_plc latency [--results 2000]
    python -m tests.benchmarks.gateways_plc reconnect [--times 1000]

`latency`: a stub publishes results, a gateway with the real ordered client carries them, a PLC in a process of its own
holds the memory; measured is until the gateway's last write of the result has been answered (of a server: stands in its
registers), on one clock, and of that the share of the driver's writes. `reconnect`: sessions one after the other, the
gateway's and the peer's, with threads, open files and memory after it. Prints one line of JSON for each kind.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from station.config import Config
from station.config.gateways import ModbusConfig, S7Config
from station.gateways.plc.drivers import opening_of
from station.gateways.plc.memory import Memory
from station.gateways.plc.outlet import PlcOutlet
from station.gateways.plc.registers import HEAD, OUTPUT
from tests.gateway_peers import carrying, fresh
from tests.journal_double import JournalDouble, StationDouble, standing
from tests.system.plc_program import CONTROL_BLOCK, STATUS_BLOCK
from tests.system.test_plc import Plc

CONFIG = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
KINDS = ("modbus", "s7", "server")
KEY_AT = OUTPUT.words + HEAD.places["head_inspection"]

Settings = ModbusConfig | S7Config


def settings_of(kind: str, port: int) -> Settings:
    """Return the table of a gateway to a peer at that port; nobody reads a server's registers here."""
    table: dict[str, Any] = {"host": "127.0.0.1", "port": port, "cycle_ms": 5, "acknowledge": kind != "server"}
    if kind == "s7":
        blocks = {"control_block": CONTROL_BLOCK, "status_block": STATUS_BLOCK}
        return S7Config.model_validate({"type": "s7"} | blocks | table)
    role = "server" if kind == "server" else "client"
    return ModbusConfig.model_validate({"type": "modbus", "role": role} | table)


class Watched:
    """A memory that notes when each result stood in the PLC, and how long the driver took since the last one."""

    def __init__(self, memory: Memory, arrived: Callable[[int, float, float], None]) -> None:
        self._memory, self._arrived = memory, arrived
        self._spent_s = 0.0
        self._last = 0

    def read_control(self) -> Sequence[int]:
        self._spent_s = 0.0
        return self._memory.read_control()

    def write_status(self, place: int, words: Sequence[int]) -> None:
        begun_s = time.perf_counter()
        self._memory.write_status(place, words)
        now_s = time.perf_counter()
        self._spent_s += now_s - begun_s
        if place <= KEY_AT < place + len(words):
            number = words[KEY_AT - place] << 16 | words[KEY_AT - place + 1]
            if number != self._last:
                self._last = number
                self._arrived(number, now_s, self._spent_s)

    def write_reject(self, reject: bool) -> None:
        self._memory.write_reject(reject)


@contextmanager
def peer(kind: str, folder: Path) -> Iterator[int]:
    """Yield the port of a PLC in a process of its own; of the server's, the port that any is taken for."""
    if kind == "server":
        yield 0
        return
    plc = Plc(kind, folder, scan_ms=10.0)
    plc.start()
    try:
        yield plc.port
    finally:
        plc.kill()


def latency(kind: str, results: int) -> dict[str, Any]:
    """Return the figures of one kind."""
    published_s: dict[int, float] = {}
    took_ms: list[float] = []
    driver_ms: list[float] = []
    came = threading.Event()

    def arrived(number: int, now_s: float, spent_s: float) -> None:
        if number in published_s:
            took_ms.append((now_s - published_s[number]) * 1e3)
            driver_ms.append(spent_s * 1e3)
            came.set()

    with tempfile.TemporaryDirectory() as name, peer(kind, Path(name)) as port:
        settings, journal = settings_of(kind, port), JournalDouble(fresh(1, 1))
        opening = opening_of("plc", settings)

        @contextmanager
        def watched() -> Iterator[Memory]:
            with opening() as memory:
                yield Watched(memory, arrived)

        outlet = PlcOutlet("plc", settings, CONFIG, watched)
        with standing(Path(name), journal) as double, carrying(double, outlet, settings) as tally:  # type: ignore[arg-type]
            wait_until_carried(double, lambda: tally.carried >= 1)
            for number in range(2, results + 2):
                came.clear()
                message = fresh(number, number)
                if number % 100 == 0:
                    double.beat()
                published_s[number] = time.perf_counter()
                double.say(*message)
                came.wait(5)
                while tally.carried < number:  # the PLC's own cycle is not measured
                    time.sleep(0.002)
    return {"kind": kind, "results": len(took_ms), **percentiles("", took_ms), **percentiles("driver_", driver_ms)}


def percentiles(name: str, values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100)
    figures = {"p50": cuts[49], "p99": cuts[98], "max": max(values)}
    return {f"{name}{word}_ms": round(figure, 3) for word, figure in figures.items()}


def wait_until_carried(double: StationDouble, carried: Callable[[], object]) -> None:
    while not carried():
        double.beat()
        time.sleep(0.01)


def reconnect(kind: str, times: int) -> dict[str, Any]:
    """Open and close the gateway's session so often; return what has grown since the first tenth."""
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as name, peer(kind, Path(name)) as port:
        opening = opening_of("plc", settings_of(kind, port))
        sessions(opening, times // 10)
        before = (process.memory_info().rss, process.num_fds(), threading.active_count())
        begun_s = time.perf_counter()
        sessions(opening, times - times // 10)
        spent_s = time.perf_counter() - begun_s
        after = (process.memory_info().rss, process.num_fds(), threading.active_count())
    grown = [late - early for early, late in zip(before, after, strict=True)]
    return {
        "kind": kind,
        "times": times,
        "grown_kb": round(grown[0] / 1024),
        "grown_files": grown[1],
        "grown_threads": grown[2],
        "ms_each": round(spent_s / (times - times // 10) * 1e3, 2),
    }


def sessions(opening: Callable[[], AbstractContextManager[Memory]], times: int) -> None:
    for _ in range(times):
        with opening() as memory:
            memory.write_status(0, [1])
            memory.read_control()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("latency", "reconnect"))
    parser.add_argument("--results", type=int, default=2000)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    for kind in given.kinds:
        load = round(os.getloadavg()[0], 1)
        figures = latency(kind, given.results) if given.what == "latency" else reconnect(kind, given.times)
        print(json.dumps({"load_before": load} | figures), flush=True)


if __name__ == "__main__":
    main()
