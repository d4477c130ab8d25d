"""Measure the OPC UA gateway: `python -m tests.benchmarks.gateways_opcua [results] [reconnects] [reopens]`.

Latency: from handing a result (with 3 defects) to the outlet until a client of this computer, in a process of its own,
has its event, at 10 ms publishing; the results are 17 ms apart. Reconnects: clients that come, listen and go, or vanish
each third time. Reopens: the server ends and begins again. What grows is told.
"""

import asyncio
import gc
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
from asyncua import Client

from tests.opcua import Driven, connected, driven, listening, marked

RESULT_READY = 1024
PACE_S = 1 / 60
WARM_UP = 60
"""Results that are not counted: the library makes its encoders at first use."""


def _listen(url: str, results: int, pipe: Connection) -> None:
    """Tell for each result the monotonic time at which its event came. A process of its own."""

    async def listen() -> None:
        times: dict[int, int] = {}

        class Clock:
            def event_notification(self, event: object) -> None:
                number = int(event.ResultId.Id.rpartition("-")[2])  # type: ignore[attr-defined]
                times.setdefault(number, time.monotonic_ns())

        async with connected(url) as client:
            await client.load_data_type_definitions()
            listener = await listening(client, RESULT_READY)
            listener.event_notification = Clock().event_notification  # type: ignore[method-assign]
            pipe.send("listening")
            while len(times) < results:
                await asyncio.sleep(0.05)
        pipe.send(times)

    asyncio.run(listen())


def latency(one: Driven, results: int) -> None:
    """Print how long results take."""
    here, there = multiprocessing.Pipe()
    client = multiprocessing.get_context("spawn").Process(target=_listen, args=(one.url, WARM_UP + results, there))
    client.start()
    assert here.recv() == "listening"
    put = {}
    for number in range(1, WARM_UP + results + 1):
        due = time.monotonic() + PACE_S
        event = marked(number, 3)
        put[number] = time.monotonic_ns()
        one.outlet.put(event)
        while time.monotonic() < due:
            one.turn()
            time.sleep(0.002)
    came = here.recv()
    client.join()
    ms = np.array([(came[number] - put[number]) / 1e6 for number in put if number > WARM_UP])
    p50, p99 = np.percentile(ms, [50, 99])
    print(f"result → event at 10 ms publishing, {results} results:")
    print(f"  p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {ms.max():.1f} ms")


def _held() -> str:
    gc.collect()
    me = psutil.Process()
    return f"{me.memory_info().rss >> 20} MiB, {threading.active_count()} threads, {me.num_fds()} files and sockets"


def reconnects(one: Driven, times: int) -> None:
    """Print what this process, server and clients, holds before and after clients came and went."""

    async def come(vanish: bool) -> None:
        client = Client(one.url)
        await client.connect()
        await listening(client, RESULT_READY)
        if vanish:
            client.uaclient.protocol.transport.abort()
        else:
            await client.disconnect()

    for number in range(times + 1):
        if number in (min(50, times // 2), times):
            print(f"after {number} clients: {_held()}")
        asyncio.run(come(vanish=number % 3 == 0))


def reopens(folder: Path, times: int) -> None:
    """Print what this process holds before and after the server began anew."""
    with driven(folder) as one:
        for number in range(times + 1):
            if number in (min(5, times // 2), times):
                print(f"after {number} restarts of the server: {_held()}")
            one.outlet.close()
            one.outlet.open()
            one.turn()


def main() -> None:
    results, clients, restarts = _asked()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "ua"
        begun = time.monotonic()
        with driven(folder, {"session_s": 5}) as one:
            print(f"from nothing to listening: {time.monotonic() - begun:.1f} s")
            one.turn()
            latency(one, results)
            reconnects(one, clients)
            begun = time.monotonic()
        print(f"closed within {time.monotonic() - begun:.2f} s")
        reopens(folder, restarts)
    print(f"load {os.getloadavg()[0]:.1f}")


def _asked() -> tuple[int, int, int]:
    given = [int(word) for word in sys.argv[1:4]]
    results, clients, restarts = given + [1000, 1000, 20][len(given) :]
    return results, clients, restarts


if __name__ == "__main__":
    main()
