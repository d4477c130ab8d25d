"""A whole line with a gateway and a PLC, each a process: killed one after the other, and no result lost or twice."""

import socket
from pathlib import Path

import pytest

from station.bench.line import running
from station.client import Client
from station.event import InspectionEvent
from tests.journals import wait_until
from tests.plc_line import Plc, gateway, tables_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def results_of(folder: Path, last: int) -> list[int]:
    """Return the numbers of all results up to `last`, as the journal has them."""
    found = []
    with Client(f"ipc://{folder}/events", f"ipc://{folder}/replay", start="first") as client:
        for item in client:
            if isinstance(item, InspectionEvent):
                found.append(item.event)
                if item.event >= last:
                    return found
    raise AssertionError


def test_a_plc_takes_each_result_once_over_kills_of_either_side(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    plc = Plc(port, tmp_path)
    plc.start()
    with running(3, 20.0, b"heartbeat", tables_of(port, max_age_s=600.0)) as line:
        for turn in range(3):
            with gateway(line.folder) as (process, _):
                taken = len(plc.taken)
                wait_until(lambda taken=taken: len(plc.taken) >= taken + 20)
                if turn == 1:
                    plc.kill()
                    plc.start()
                    wait_until(lambda taken=taken: len(plc.taken) >= taken + 40)
                if turn < 2:
                    process.kill()
        plc.kill()
        results = results_of(line.folder, plc.taken[-1])
    assert len(plc.taken) >= 80
    assert plc.taken == results
