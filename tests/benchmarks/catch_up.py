"""How fast a consumer that was away catches up through `station.client`, and what the line notices of it.

    python -m tests.benchmarks.catch_up [--messages 100000] [--rounds 3]

A real station runs at 60 Hz with three regions a frame; the consumer is a process of its own, which begins at message 1
over and over, with less right to the processor than the line, as on another computer. Prints one line of JSON: messages
a second, decoded and in order, by the clock and by the consumer's own processor time, and the line's capture-to-publish
latency beside the consumer and without it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from station.bench.line import running
from station.client import Client, Gap
from station.event import encode
from tests.benchmarks.journal import listen, make_message, percentiles
from tests.journals import keeping

_SECONDS = 5.0


def fill(folder: str, messages: int) -> None:
    """Write so many messages like those of a line into a journal."""
    with keeping(Path(folder, "journal")) as kept:
        for number in range(1, messages + 1):
            kept.mark(number)
            message = make_message(number)
            kept.journal.put(message, encode(message))
            if number % 5000 == 0:
                kept.wait_for(number)
        kept.wait_for(messages)


def catch_up(live: str, replay: str, messages: int) -> tuple[float, float]:
    """Read messages 1 to `messages`; return how many a second, by the clock and by this process's time.

    Raises `RuntimeError` where one is missing.
    """
    expected = 1
    with Client(live, replay, start="first") as client:
        started_s, spent_s = time.monotonic(), time.process_time()
        for item in client:
            if isinstance(item, Gap) or getattr(item, "event", expected) != expected:
                raise RuntimeError(f"in place of message {expected} came {item}")
            expected += 1
            if expected > messages:
                return messages / (time.monotonic() - started_s), messages / (time.process_time() - spent_s)
    raise RuntimeError("the client ended")


@contextmanager
def consuming(live: str, replay: str, messages: int, rates: list[list[float]]) -> Iterator[None]:
    """Let a process catch up over and over beside the block, and note both rates of each round."""
    words = [
        "nice",
        "-n",
        "10",
        sys.executable,
        "-m",
        "tests.benchmarks.catch_up",
        "--messages",
        str(messages),
        "--consume",
        live,
        replay,
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        lines = [first, *process.communicate()[0].splitlines()]
        rates += [json.loads(line) for line in lines if line.endswith(("]", "\n"))]


def measure(messages: int, rounds: int) -> dict[str, Any]:
    """Return the figures."""
    rates: list[list[float]] = []
    latencies: dict[str, list[float]] = {"quiet": [], "beside": []}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        fill(folder, messages)
        replay = f"ipc://{folder}/replay"
        with running(
            3, 60.0, b"inspection.", f'[journal]\nfolder = "{folder}/journal"\nendpoint = "{replay}"\n'
        ) as line:
            live = f"ipc://{line.folder}/events"
            for _ in range(rounds):
                latencies["quiet"] += listen(line, _SECONDS)
                with consuming(live, replay, messages, rates):
                    latencies["beside"] += listen(line, _SECONDS)
    line_ms = {word: percentiles(of) for word, of in latencies.items()}
    return {
        "messages_per_s": round(statistics.median(rate for rate, _ in rates)),
        "slowest_per_s": round(min(rate for rate, _ in rates)),
        "messages_per_processor_s": round(statistics.median(rate for _, rate in rates)),
        "runs": len(rates),
        "line_ms": line_ms,
        "p99_ratio": round(line_ms["beside"]["p99"] / line_ms["quiet"]["p99"], 2),
    }


def main() -> None:
    """Measure, or be the consumer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--consume", nargs=2, metavar=("LIVE", "REPLAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    while given.consume:
        print(json.dumps(catch_up(*given.consume, given.messages)), flush=True)
    load = round(psutil.getloadavg()[0], 1)
    print(json.dumps({"load_before": load} | measure(given.messages, given.rounds)))


if __name__ == "__main__":
    main()
