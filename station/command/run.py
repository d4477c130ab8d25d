"""`station run`: the daemon. Main thread."""

import json
import logging
import time
from pathlib import Path
from typing import Annotated

import typer

from station.app import Station
from station.command.options import ConfigFile
from station.command.signals import Signals
from station.command.supervise import Supervisor
from station.config_file import load
from station.notify import notify

__all__ = ["run"]

logger = logging.getLogger(__name__)


def run(
    config: ConfigFile = Path("config.toml"),
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="End after so many announced frames, over all cameras.")
    ] = None,
) -> None:
    """Run the station until it is told to stop; SIGHUP reads the configuration again. The last line is the ledger."""
    started_s = time.monotonic()
    settings = load(config)
    with Signals() as signals, Station(settings, max_frames) as station:
        logger.info("publishing on %s", station.endpoint)
        if station.metrics_url:
            logger.info("metrics on %s", station.metrics_url)
        Supervisor(station, config, signals, started_s).run()
        notify("STOPPING=1\nSTATUS=the last frames are inspected")
    typer.echo(json.dumps(station.ledger.total()))
