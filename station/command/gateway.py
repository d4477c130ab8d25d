"""`station gateway`: results for a PLC or SCADA, in a process of its own. Main thread."""

import logging
import time
from pathlib import Path
from typing import Annotated

import typer

from station.command.options import ConfigFile, KeyFolder
from station.command.peer import find_control, find_peer
from station.command.signals import Signals
from station.config_file import load
from station.gateways.open import open_outlet
from station.gateways.process import GatewayProcess, Peers, settings_of
from station.gateways.tally import Tally
from station.notify import notify

__all__ = ["gateway"]

logger = logging.getLogger(__name__)

_ALIVE_S = 1.0


def gateway(
    name: Annotated[str, typer.Argument(help="The NAME of a table [gateway.NAME].")],
    config: ConfigFile = Path("config.toml"),
    keys: KeyFolder = None,
) -> None:
    """Carry results to a PLC, SCADA or broker until told to stop; the station does not know that it is there."""
    settings = load(config)
    table = settings_of(name, settings)
    peers = Peers(
        find_peer("publish", config, None, keys),
        find_peer("journal", config, None, keys),
        find_control(config, None, keys),
    )
    outlet = open_outlet(name, table, settings)
    with Signals() as signals, GatewayProcess(name, settings, peers, outlet) as process:
        logger.info("gateway %s (%s)", name, table.type)
        if process.metrics_url:
            logger.info("metrics on %s", process.metrics_url)
        life = _Life(process.tally)
        process.run(lambda: signals.stop, life.tell)
        tally = process.tally
        logger.info(
            "gateway %s: %d carried, %d expired, %d lost, %d late",
            name,
            tally.carried,
            tally.expired,
            tally.lost,
            tally.late,
        )
        notify("STOPPING=1\nSTATUS=the session with the peer is closed")


class _Life:
    """Tells systemd that the gateway turns, and how it is, once a second."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._next_s = 0.0

    def tell(self) -> None:
        if time.monotonic() < self._next_s:
            return
        first, self._next_s = not self._next_s, time.monotonic() + _ALIVE_S
        tally = self._tally
        if first:
            notify("READY=1")  # a peer or a station that is away is waited for, and told in the status
        station = "heard" if tally.station_online else "not heard"
        detail = f" ({tally.detail})" if tally.detail else ""
        notify(
            f"WATCHDOG=1\nSTATUS=peer {tally.state}{detail}; station {station}; {tally.carried} carried, "
            f"{tally.waiting} waiting, {tally.expired} expired, {tally.lost} lost"
        )
