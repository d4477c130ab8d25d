"""How long a verdict takes from the station's publisher into a PLC's memory, and whether reconnecting leaves anything.

    python -m tests.benchmarks.gateways_plc latency [--results 2000]
    python -m tests.benchmarks.gateways_plc reconnect [--times 1000]
    python -m tests.benchmarks.gateways_plc kills [--times 1000]

`latency`: a stub publishes results, a gateway with the real ordered client carries them, a PLC in a process of its own
holds the memory; measured is until the gateway's last write of the result has been answered (of a server: stands in its
registers), on one clock, and of that the share of the driver's writes, which are two requests of a client. Beside it
the floor of one request: a read of the control words and a write of a result through the library, that write after a
rest of both sides as between two results (`rested`), and that read through a bare socket. `reconnect`: sessions one
after the other, the gateway's and the peer's, with threads, open files and memory after it. `kills`: the PLC dies by
SIGKILL, at random moments, under a gateway that carries three results for each of its lives; raises unless it took each
once and in order. Prints one line of JSON for each kind.
"""

import argparse
import json
import logging
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from station.config import Config
from station.config.gateways import ModbusConfig, S7Config
from station.gateways.plc.drivers import opening_of
from station.gateways.plc.memory import Memory, Opening
from station.gateways.plc.outlet import PlcOutlet
from station.gateways.plc.registers import CONTROL, HEAD, OUTPUT, RESULT
from tests.gateway_peers import carrying, fresh
from tests.journal_double import JournalDouble, StationDouble, standing
from tests.system.plc_program import CONTROL_BLOCK, STATUS_BLOCK
from tests.system.test_plc import Plc

CONFIG = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
KINDS = ("modbus", "s7", "server")
REST_S = 0.01
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
        floor = {} if kind == "server" else request_floor(settings, opening)

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
                journal.keep(*message)
                double.say(*message)
                if not came.wait(1):  # the client did not listen yet, and reads it when it hears how far they go
                    wait_until_carried(double, came.is_set)
                while tally.carried < number:  # the PLC's own cycle is not measured
                    time.sleep(0.002)
    figures = {**percentiles("", took_ms), **percentiles("driver_", driver_ms)}
    return {"kind": kind, "results": len(took_ms), **figures, **floor}


def request_floor(settings: Settings, opening: Opening, times: int = 1000) -> dict[str, float]:
    """Return what one request takes: a read and a write of a result through the library, and that read without it."""
    words = [0] * RESULT.words
    with opening() as memory:
        figures = percentiles("read_", [timed(memory.read_control) for _ in range(times)])
        write = partial(memory.write_status, KEY_AT, words)
        figures |= percentiles("write_", [timed(write) for _ in range(times)])
        figures |= percentiles("rested_write_", [rested(write) for _ in range(times // 4)])
    host, port = settings.host, settings.port
    with socket.create_connection((host, port)) as bare:
        bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        *begin, read = modbus_read() if isinstance(settings, ModbusConfig) else s7_read()
        for request in begin:
            ask(bare, request)
        if len(ask(bare, read)) < 2 * CONTROL.words:
            raise RuntimeError("the PLC's answer is not that to a read of the control words")
        return figures | percentiles("bare_read_", [timed(lambda: ask(bare, read)) for _ in range(times)])


def timed(call: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    call()
    return (time.perf_counter() - begun_s) * 1e3


def rested(call: Callable[[], object]) -> float:
    time.sleep(REST_S)
    return timed(call)


def ask(bare: socket.socket, request: bytes) -> bytes:
    """Send it, and return the answer, which comes in one piece on this computer."""
    bare.sendall(request)
    return bare.recv(4096)


def modbus_read() -> list[bytes]:
    """Return a read of the control words as it goes over the wire."""
    return [struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, CONTROL.words)]


def s7_read() -> list[bytes]:
    """Return what connects (ISO 8073 over RFC 1006, S7 set-up), and a read of the control words."""
    connect = bytes.fromhex("0300001611e00000000100c0010ac1020100c2020101")
    begin = bytes.fromhex("0300001902f08032010000000000080000f0000001000101e0")
    head = bytes.fromhex("0300001f02f080320100000001000e00000401120a1002")
    return [connect, begin, head + struct.pack(">HHBBH", 2 * CONTROL.words, CONTROL_BLOCK, 0x84, 0, 0)]


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
    with tempfile.TemporaryDirectory() as name, peer(kind, Path(name)) as port:
        opening = opening_of("plc", settings_of(kind, port))
        sessions(opening, times // 10)
        before = held()
        begun_s = time.perf_counter()
        sessions(opening, times - times // 10)
        spent_s = time.perf_counter() - begun_s
        after = held()
    each_ms = round(spent_s / (times - times // 10) * 1e3, 2)
    return {"kind": kind, "times": times, **grown(before, after), "ms_each": each_ms}


class Mortal:
    """A PLC that is killed and stands again in milliseconds; `kept` has the key of each result that it took."""

    def __init__(self, kind: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._kept = folder / "retain"
        words = [kind, str(self.port), str(self._kept), "1", "again"]
        command = [sys.executable, "-m", "tests.system.plc_program", *words]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, text=True)
        self._await()

    def kill(self) -> None:
        """Let it die and stand again."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        self._await()

    def close(self) -> None:
        self._process.communicate()

    @property
    def size(self) -> int:
        """Grows with each result that it took."""
        return self._kept.stat().st_size if self._kept.exists() else 0

    def has_grown(self, size: int) -> bool:
        return self.size > size

    @property
    def took(self) -> list[int]:
        """The numbers of the results, in the order in which it took them."""
        return [json.loads(line)["inspection"] for line in self._kept.read_text().splitlines()]

    def _await(self) -> None:
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) != "listening\n":
            assert line, "the PLC does not stand"


def kills(kind: str, times: int, seed: int = 1) -> dict[str, Any]:
    """Kill a PLC so often under a gateway; return what has grown since the first tenth."""
    draw = random.Random(seed)
    before = None
    with tempfile.TemporaryDirectory() as name, closing(Mortal(kind, Path(name))) as plc:
        settings = settings_of(kind, plc.port).model_copy(
            update={"cycle_ms": 1.0, "max_age_s": 86_400.0, "backoff_s": 0.01, "backoff_max_s": 0.05}
        )
        journal = JournalDouble(fresh(1, 1))
        outlet = PlcOutlet("plc", settings, CONFIG)
        with standing(Path(name), journal) as double, carrying(double, outlet, settings) as tally:  # type: ignore[arg-type]
            wait_until_carried(double, lambda: tally.carried >= 1)
            begun_s = time.perf_counter()
            for life in range(1, times + 1):
                size, messages = plc.size, fresh(journal.last + 1, journal.last + 3)
                journal.keep(*messages)
                double.say(*messages)
                if draw.random() < 0.7:  # else it dies before it has taken one, perhaps before it is connected
                    wait_until_carried(double, partial(plc.has_grown, size))
                time.sleep(draw.uniform(0, 0.02))
                plc.kill()
                journal.asked.clear()
                journal.kept = journal.kept[-300:]
                if life == max(times // 10, 1):
                    wait_until_carried(double, lambda: tally.carried >= journal.last)
                    before = held()
            wait_until_carried(double, lambda: tally.carried >= journal.last)
            spent_s = time.perf_counter() - begun_s
            after, connections = held(), connections_to(plc.port)
            lost = tally.reconnects
        took = plc.took
    if took != [*range(1, journal.last + 1)]:
        raise RuntimeError(f"{kind}: {len(took)} results of {journal.last} came, or not in order")
    assert before is not None
    figures = {"kills": times, "results": len(took), "lost_sessions": lost, "sessions_at_the_end": connections}
    return {"kind": kind, **figures, **grown(before, after), "ms_each": round(spent_s / times * 1e3, 1)}


def held() -> tuple[int, int, int]:
    """Return bytes of memory, open files and threads of this process."""
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds(), threading.active_count()


def grown(before: tuple[int, int, int], after: tuple[int, int, int]) -> dict[str, int]:
    memory, files, threads = (late - early for early, late in zip(before, after, strict=True))
    return {"grown_kb": round(memory / 1024), "grown_files": files, "grown_threads": threads}


def connections_to(port: int) -> int:
    connections = psutil.Process().net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port == port for one in connections)


def sessions(opening: Callable[[], AbstractContextManager[Memory]], times: int) -> None:
    for _ in range(times):
        with opening() as memory:
            memory.write_status(0, [1])
            memory.read_control()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("latency", "reconnect", "kills"))
    parser.add_argument("--results", type=int, default=2000)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    logging.getLogger("station").setLevel(logging.ERROR)  # a loss is no news here
    for kind in given.kinds:
        load = round(os.getloadavg()[0], 1)
        match given.what:
            case "latency":
                figures = latency(kind, given.results)
            case "reconnect":
                figures = reconnect(kind, given.times)
            case _:
                figures = kills(kind, given.times) if kind != "server" else {"kind": kind, "kills": "its PLC connects"}
        print(json.dumps({"load_before": load} | figures), flush=True)


if __name__ == "__main__":
    main()
