"""A consumer that follows a station which is killed at random moments, over and over.

    python -m tests.benchmarks.client_kills KILLS [--seed 1]

Its client lives through five kills, then another one goes on with the number that the consumer kept. Prints one line of
JSON; raises where a number comes twice, out of order or not at all, or where the journal has a message that never came.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from station.client import Client, Gap, Item, Silence
from station.journal.database import open_reader
from station.journal.reader import every_batch
from station.journal.writer import DATABASE
from tests.system.test_client import CONFIG, connect, environment, numbers

_KILLS_A_CLIENT = 5
_START_S = 60.0


@dataclass
class Consumer:
    """Takes items and holds them to what was promised."""

    last: int = 0
    messages: int = 0
    gaps: list[Gap] = field(default_factory=list)

    def take(self, client: Client, seconds: float) -> None:
        """Take what comes for so long."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            if (item := client.receive(left_s)) is not None:
                self._check(item)

    def take_first(self, client: Client) -> None:
        """Wait until something new comes."""
        before, end_s = self.messages, time.monotonic() + _START_S
        while self.messages == before:
            if time.monotonic() > end_s:
                raise RuntimeError("the station is silent")
            self.take(client, 0.05)

    def _check(self, item: Item) -> None:
        if isinstance(item, Silence):
            return
        found = numbers([item])
        if not found or found[0] != self.last + 1:
            raise RuntimeError(f"behind {self.last} came {item}")
        self.last = found[-1]
        self.messages += not isinstance(item, Gap)
        self.gaps += [item] if isinstance(item, Gap) else []


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start the station."""
    command = [sys.executable, "-m", "station", "run", "--config", str(folder / "config.toml"), *words]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=environment())


def follow(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill so often, run the station once to its end, and compare with the journal."""
    (folder / "config.toml").write_text(CONFIG.format(folder=folder, rate=200, high_water_mark=1000))
    consumer, moments = Consumer(), random.Random(seed)
    process, journal = start(folder), ""
    for first in range(0, kills, _KILLS_A_CLIENT):
        with connect(folder, start=consumer.last + 1, journal=journal) as client:
            for _ in range(min(_KILLS_A_CLIENT, kills - first)):
                consumer.take_first(client)
                consumer.take(client, moments.uniform(0.0, 0.5))
                process.kill()
                process.wait()
                process = start(folder)
            journal = client.journal
        time.sleep(moments.uniform(0.0, 1.0))
    with connect(folder, start=consumer.last + 1, journal=journal) as client:
        consumer.take_first(client)
        process.terminate()
        while process.poll() is None:
            consumer.take(client, 0.1)
        consumer.take(client, 0.5)
    return {
        "kills": kills,
        "numbers": consumer.last,
        "messages": consumer.messages,
        "told_as_lost": sum(gap.last - gap.first + 1 for gap in consumer.gaps),
        "longest_loss": max((gap.last - gap.first + 1 for gap in consumer.gaps), default=0),
        "in_the_journal": count_kept(folder / "journal" / DATABASE, consumer.gaps, consumer.last),
    }


def count_kept(path: Path, gaps: list[Gap], last: int) -> int:
    """Return how many messages the journal has. Raises `RuntimeError` where one was told as lost, or never came."""
    with closing(open_reader(path)) as connection:
        kept = {number for batch, _ in every_batch(connection) for number in range(batch.first, batch.last + 1)}
    lost = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    if kept & lost or max(kept) > last:
        raise RuntimeError(f"the journal has what was told as lost, or never came: {sorted(kept & lost)[:5]}, {last}")
    return len(kept)


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(follow(Path(folder), given.kills, given.seed)))


if __name__ == "__main__":
    main()
