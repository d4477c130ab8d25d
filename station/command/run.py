"""`station run`: the daemon. Main thread: signals, watchdog, `Station`."""

import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any, Self

import typer

from station.app import Station
from station.command.options import ConfigFile
from station.config_file import load
from station.notify import notify

__all__ = ["run"]

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_ALIVE_S = 1.0


def run(
    config: ConfigFile = Path("config.toml"),
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="End after so many announced frames, over all cameras.")
    ] = None,
) -> None:
    """Run the station until it is told to stop; the last line printed is the ledger."""
    started_s = time.monotonic()
    settings = load(config)
    with _StopSignals() as signals, Station(settings, max_frames) as station:
        logger.info("publishing on %s", station.endpoint)
        if station.metrics_port is not None:
            logger.info("metrics on http://%s:%d/metrics", settings.metrics.host, station.metrics_port)
        _supervise(station, signals, started_s)
        notify("STOPPING=1")
    typer.echo(json.dumps(station.ledger.total()))


def _supervise(station: Station, signals: "_StopSignals", started_s: float) -> None:
    """Wait for the end, telling systemd of readiness and, while frames or announced outages advance, of life."""
    ready, seen, alive_s = False, -1, 0.0
    while not station.done and not signals.received:
        if not ready and station.first_verdict.is_set():
            ready = True
            seconds = time.monotonic() - started_s
            notify(f"READY=1\nSTATUS=first verdict after {seconds:.2f} s")
            logger.info("READY after %.2f s", seconds)
        if time.monotonic() - alive_s >= _ALIVE_S and station.progress != seen:
            seen, alive_s = station.progress, time.monotonic()
            notify("WATCHDOG=1")
        time.sleep(_POLL_S)


class _StopSignals:
    """Takes SIGTERM and SIGINT for the length of a block: the first is noted, the second ends the process at once.

    The handler only sets an attribute: it may interrupt the main thread anywhere, also where it holds a lock.
    """

    def __init__(self) -> None:
        self.received = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: object) -> None:
        name = signal.Signals(number).name
        if self.received:
            os.write(2, f"{name} again: stopped without draining\n".encode())
            os._exit(3)
        self.received = name
        os.write(2, f"{name}: stopping\n".encode())
