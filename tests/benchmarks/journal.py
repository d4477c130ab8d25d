"""What the journal takes and what it costs the line.

    python -m tests.benchmarks.journal sustained [--seconds 60] [--rate 10000]
    python -m tests.benchmarks.journal cost [--rounds 5]
    python -m tests.benchmarks.journal catch-up [--messages 100000]
    python -m tests.benchmarks.journal kills N [--seed 1]

Each prints one line of JSON. Rates and latencies are of this computer, ratios are of one run of this program.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import zmq

from station.bench.line import RunningLine, measure_paced, running
from station.event import DefectRecord, Heartbeat, InspectionEvent, Origin, StageTimes, encode
from station.journal.protocol import Page, Read, decode_reply
from station.journal.survey import survey, verify
from tests.journals import keeping
from tests.system.killing import kill_over_and_over

_TABLES = '[journal]\nfolder = "{folder}/journal"\nendpoint = "ipc://{folder}/replay"\n'
_ORIGIN = Origin("bench", "0123456789ab", "neu-compact 0123456789ab", "0123456789ab", "0123456789ab")
_TURN_S = 0.01


def sustained(seconds: float, rate_hz: int) -> dict[str, Any]:
    """Put `rate_hz` messages a second for so long; the lag is from a message's number to the disk."""
    batch, lags, waiting, put_s = round(rate_hz * _TURN_S), [], [], 0.0
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, keeping(Path(folder, "journal"), commit_ms=20) as kept:
        number, started_s = 0, time.monotonic()
        while number < seconds * rate_hz:
            for _ in range(batch):
                number += 1
                kept.mark(number)
                message = make_message(number)
                payload, begun_s = encode(message), time.thread_time()
                kept.journal.put(message, payload)
                put_s += time.thread_time() - begun_s
            record = kept.journal.record
            lags.append((number - record.last) / rate_hz)
            waiting.append(record.waiting)
            time.sleep(max(0.0, started_s + number / rate_hz - time.monotonic()))
        passed_s = time.monotonic() - started_s
        kept.wait_for(number)
        thread_s = _thread_s("journal")
        written_s = time.monotonic() - started_s
        found = survey(Path(folder, "journal"))
        messages = sum(one.last - one.first + 1 for one in verify(Path(folder, "journal")) if one.whole)
    return {
        "messages_per_s": round(number / passed_s),
        "on_disk_per_s": round(number / written_s),
        "messages": number,
        "whole_on_disk": messages,
        "mean_bytes": round(sum(len(encode(make_message(one))) for one in range(1000)) / 1000),
        "file_mb": round(found.file_bytes / 1e6),
        "lag_ms": percentiles([lag * 1e3 for lag in lags]),
        "most_waiting": max(waiting),
        "dropped": kept.journal.dropped,
        "cpu_us_per_message": {"put": round(put_s / number * 1e6, 2), "thread": round(thread_s / number * 1e6, 2)},
    }


def _thread_s(name: str) -> float:
    """Return the processor time of a thread of this process."""
    (number,) = (thread.native_id for thread in threading.enumerate() if thread.name == name)
    (times,) = (thread for thread in psutil.Process().threads() if thread.id == number)
    return float(times.user_time + times.system_time)


def make_message(number: int) -> InspectionEvent:
    """Return a message like those of a line: none to six defects."""
    defects = tuple(
        DefectRecord("scratches", 0.9876, (100 + one, 200, 34, 45), 678, -23.4, 0.123456) for one in range(number % 7)
    )
    now_ns = time.time_ns()
    return InspectionEvent(
        event=number,
        origin=_ORIGIN,
        camera="top",
        sequence=number,
        captured_ns=now_ns - 1_234_567,
        clock="host",
        published_ns=now_ns,
        verdict="reject" if defects else "accept",
        reason="scratches" if defects else "",
        late=False,
        budget_ms=20.0,
        latency_ms=1.234,
        size_px=(2048, 1000),
        defects=defects,
        stages_us=StageTimes(12.3, 123.4, 56.7, 456.7, 8.9),
        frame_id=number,
    )


def percentiles(values: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum."""
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(p50, 3), "p99": round(p99, 3), "max": round(max(values), 3)}


def cost(rounds: int) -> dict[str, Any]:
    """Run the line without and with a journal in turn, flooded and at 60 Hz, with three regions a frame.

    Processor time a frame hardly depends on what else this computer does; rates and latencies do.
    """
    found: dict[str, dict[str, list[float]]] = {
        name: {"off": [], "on": []} for name in ("fps", "cpu_us", "p50_ms", "p99_ms")
    }
    for _ in range(rounds):
        for word, tables in (("off", ""), ("on", _TABLES)):
            figures = flood(tables) | measure_paced(3, tables)
            for name, values in found.items():
                values[word].append(figures[name])
    off, on = ({name: statistics.median(values[word]) for name, values in found.items()} for word in ("off", "on"))
    return {
        "fps_ratio": round(on["fps"] / off["fps"], 3),
        "cpu_ratio": round(on["cpu_us"] / off["cpu_us"], 3),
        "p50_more_ms": round(on["p50_ms"] - off["p50_ms"], 3),
        "p99_more_ms": round(on["p99_ms"] - off["p99_ms"], 3),
    } | found


def flood(tables: str) -> dict[str, float]:
    """Return frames a second of a line whose camera is always ready, and its processor time for each, all threads."""
    with running(3, 0.0, b"heartbeat", tables) as line:
        process = psutil.Process(line.process.pid)
        frames, cpu_s, started_s = _inspected(line), sum(process.cpu_times()[:2]), time.monotonic()
        while time.monotonic() - started_s < 8.0:
            _inspected(line)
        frames, cpu_s = _inspected(line) - frames, sum(process.cpu_times()[:2]) - cpu_s
        return {"fps": round(frames / (time.monotonic() - started_s), 1), "cpu_us": round(cpu_s / frames * 1e6, 1)}


def _inspected(line: RunningLine) -> int:
    """Return how many frames the next heartbeat counts."""
    while not isinstance(beat := line.receive(), Heartbeat):
        pass
    return beat.ledger["top"].inspected


def catch_up(messages: int) -> dict[str, Any]:
    """Read so many messages over and over while the line runs at 60 Hz; compare its latency with quiet stretches."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        with keeping(Path(folder, "journal")) as kept:
            for number in range(1, messages + 1):
                kept.mark(number)
                message = make_message(number)
                kept.journal.put(message, encode(message))
                if number % 5000 == 0:
                    kept.wait_for(number)
            kept.wait_for(messages)
        tables = f'[journal]\nfolder = "{folder}/journal"\nendpoint = "ipc://{folder}/replay"\n'
        with running(3, 60.0, b"inspection.", tables) as line:
            rates: list[float] = []
            latencies: dict[str, list[float]] = {"quiet": [], "paced": [], "flat_out": []}
            for _ in range(3):
                latencies["quiet"] += listen(line, 5.0)
                with consuming(folder, messages, 50_000, []):
                    latencies["paced"] += listen(line, 5.0)
                with consuming(folder, messages, 0, rates):
                    latencies["flat_out"] += listen(line, 5.0)
    return {
        "messages_per_s": round(statistics.median(rates)),
        "runs": len(rates),
        "line_ms": {word: percentiles(of) for word, of in latencies.items()},
    }


def listen(line: RunningLine, seconds: float) -> list[float]:
    """Return the latencies of the line, in milliseconds, for so long."""
    while line.socket.poll(0):
        line.receive()
    found, end_s = [], time.monotonic() + seconds
    while time.monotonic() < end_s:
        event = line.receive()
        if isinstance(event, InspectionEvent):
            found.append((event.published_ns - event.captured_ns) / 1e6)
    return found


@contextmanager
def consuming(folder: str, messages: int, rate_hz: int, rates: list[float]) -> Iterator[None]:
    """Read messages 1 to `messages` over and over beside the block, and note the rate of each round."""
    stopping = threading.Event()

    def consume() -> None:
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(f"ipc://{folder}/replay")
            while not stopping.is_set():
                rates.append(read_all(socket, messages, rate_hz, stopping))

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def read_all(socket: zmq.Socket[bytes], messages: int, rate_hz: int, stopping: threading.Event) -> float:
    """Read messages 1 to `messages`, at most `rate_hz` of them a second, and return how many came a second."""
    start, started_s, found = 1, time.monotonic(), 0
    while start <= messages and not stopping.is_set():
        socket.send(msgspec.json.encode(Read(start, start, messages)))
        if not socket.poll(2000):
            raise RuntimeError("the journal is silent")
        reply, *parts = socket.recv_multipart()
        page = decode_reply(reply)
        if not isinstance(page, Page):
            raise RuntimeError(f"refused: {page}")
        found += sum(part.count(b"\n") + 1 for part in parts)
        start = page.next
        if rate_hz:
            stopping.wait(max(0.0, started_s + found / rate_hz - time.monotonic()))
    return found / (time.monotonic() - started_s)


def kills(number: int, seed: int) -> dict[str, Any]:
    """Kill a running station so often and compare what was heard, kept and announced."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        result = kill_over_and_over(Path(folder), number, seed)
    return {
        "kills": number,
        "starts_with_a_journal": len(result.opened_s),
        "open_max_s": max(result.opened_s),
        "numbers": result.last,
        "heard_live": len(result.heard),
        "numbers_used_twice": len(result.clashes) + len(result.heard_otherwise),
        "missing": len(result.missing),
        "announced": len(result.announced),
        "missing_and_not_announced": len(result.missing - result.announced),
        "announced_and_not_missing": len(result.announced - result.missing),
        "longest_loss": max((loss.last - loss.first + 1 for loss in result.lost), default=0),
    }


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    modes = parser.add_subparsers(dest="mode", required=True)
    one = modes.add_parser("sustained")
    one.add_argument("--seconds", type=float, default=60.0)
    one.add_argument("--rate", type=int, default=10_000)
    modes.add_parser("cost").add_argument("--rounds", type=int, default=5)
    modes.add_parser("catch-up").add_argument("--messages", type=int, default=100_000)
    last = modes.add_parser("kills")
    last.add_argument("number", type=int)
    last.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    load = round(psutil.getloadavg()[0], 1)
    match given.mode:
        case "sustained":
            figures = sustained(given.seconds, given.rate)
        case "cost":
            figures = cost(given.rounds)
        case "catch-up":
            figures = catch_up(given.messages)
        case _:
            figures = kills(given.number, given.seed)
    print(json.dumps({"load_before": load} | figures))
    sys.exit(0)


if __name__ == "__main__":
    main()
