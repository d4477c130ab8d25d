"""`station run`: the daemon. Main thread: signals, watchdog, `Station`."""

import gc
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from station.app import Station
from station.command.options import ConfigFile
from station.config_file import load
from station.notify import notify

__all__ = ["run"]

logger = logging.getLogger(__name__)

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_POLL_S = 0.1


def run(
    config: ConfigFile = Path("config.toml"),
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="End after so many announced frames, over all cameras.")
    ] = None,
) -> None:
    """Run the station until it is told to stop; the last line printed is the ledger."""
    started_s = time.monotonic()
    settings = load(config)
    with _stop_signals(), Station(settings, max_frames) as station:
        logger.info("publishing on %s", station.endpoint)
        if station.metrics_port is not None:
            logger.info("metrics on http://%s:%d/metrics", settings.metrics.host, station.metrics_port)
        _supervise(station, started_s)
        notify("STOPPING=1")
    typer.echo(json.dumps(station.ledger.total()))


def _supervise(station: Station, started_s: float) -> None:
    """Wait for the end, telling systemd of readiness and, while frames or announced outages advance, of life."""
    ready, seen = False, -1
    while not station.done:
        if not ready and station.first_verdict.is_set():
            ready = True
            gc.collect()
            gc.freeze()
            seconds = time.monotonic() - started_s
            notify(f"READY=1\nSTATUS=first verdict after {seconds:.2f} s")
            logger.info("READY after %.2f s", seconds)
        if (progress := station.progress) != seen or progress is None:
            seen = progress
            notify("WATCHDOG=1")
        if received := signal.sigtimedwait(_STOPPING, _POLL_S):
            logger.info("%s: stopping", signal.Signals(received.si_signo).name)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
            return


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Keep the stop signals for `_supervise` in every thread; one that comes while draining ends the process."""
    for number in _STOPPING:
        signal.signal(number, _stop_at_once)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop_at_once(number: int, frame: object) -> None:
    logger.error("%s again: stopped without draining", signal.Signals(number).name)
    os._exit(3)
