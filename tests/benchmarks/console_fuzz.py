"""Requests that no browser sends, a hundred thousand of them, at a console with a running station. Prints JSON.

python -m tests.benchmarks.console_fuzz [COUNT] [SEED]
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.console_app import console_app
from tests.console_browser import Program
from tests.console_fuzz import fuzz


def main(count: int = 100_000, seed: int = 1) -> None:
    """Send the requests, and print what came back and what stayed."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    keys = "requests_per_s = 100000.0\nlogins_per_minute = 10000.0"
    with tempfile.TemporaryDirectory() as folder, console_app(Path(folder), keys) as site:
        station = Program(("run", "--config", f"{folder}/config.toml"), "READY")
        station.start()
        try:
            begun_s = time.monotonic()
            told = fuzz(site, count, seed)
            seconds = round(time.monotonic() - begun_s, 1)
        finally:
            station.stop()
        kib = {path.name: path.stat().st_size >> 10 for path in Path(folder, "console").iterdir() if path.is_file()}
    print(
        json.dumps(
            {
                "requests": sum(told.statuses.values()),
                "seconds": seconds,
                "statuses": dict(sorted(told.statuses.items())),
                "faults": told.faults[:20],
                "rss_mib": told.rss_mib,
                "open_files": told.open_files,
                "files_kib": kib,
            }
        )
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
