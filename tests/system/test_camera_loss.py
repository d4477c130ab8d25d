"""Cameras that go and come back while the line runs: each outage is told, nothing leaks, and the ledger is exact."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from station.app import Station
from station.config import Config
from station.config_file import parse
from station.event import StateEvent
from tests.system.lines import Listener, listening

FAULTS = {
    "unplugged": {"unplug_at": 15, "outage_s": 0.06},
    "frozen": {"freeze_at": 15, "outage_s": 0.3},
    "healthy": {},
}
_MIB = 1 << 20


def make_config(folder: Path) -> Config:
    cameras = [
        {
            "name": name,
            "type": "simulated",
            "width_px": 64,
            "height_px": 48,
            "rate_hz": 200.0,
            "defects_per_frame": 0.0,
            "timeout_s": 0.05,
            "offline_after_s": 0.15,
            "reconnect_s": 0.02,
            "faults": {"again": True, **faults},
        }
        for name, faults in FAULTS.items()
    ]
    return parse(
        {
            "station": {"queue_frames": 64},
            "camera": cameras,
            "engine": {"backend": "fake"},
            "publish": {"endpoint": f"ipc://{folder}/events", "high_water_mark": 1_000_000},
            "metrics": {"port": 0},
            "control": {"enabled": False},
        },
        folder / "config.toml",
    )


@contextmanager
def running(config: Config) -> Iterator[tuple[Station, Listener]]:
    with listening(config.publish.endpoint) as listener:
        with Station(config) as station:
            yield station, listener
        listener.hear_rest()


def states_of(listener: Listener, camera: str) -> list[StateEvent]:
    return [event for event in listener.states if event.camera == camera]


def run_through(config: Config, outages: int) -> tuple[Station, Listener, dict[str, Any]]:
    """Run until as many outages were told as back; return also what was held early and late."""
    held = {}
    with running(config) as (station, listener):
        back: Counter[str] = Counter()
        while back.total() < outages:
            message = listener.hear()
            if isinstance(message, StateEvent) and message.outage is not None:
                back[message.camera] += 1
                if back.total() in (outages // 4, outages - 1):
                    held[back.total()] = (
                        {thread.name for thread in threading.enumerate()},
                        psutil.Process().num_fds(),
                        psutil.Process().memory_info().rss,
                    )
    early, late = held.values()
    return station, listener, {"early": early, "late": late}


def check(station: Station, listener: Listener, held: dict[str, Any]) -> None:
    total = station.ledger.total()
    assert total["announced"] == len(listener.inspections)
    assert [event.event for event in listener.messages if hasattr(event, "event")] == list(
        range(1, len(listener.inspections) + len(listener.states) + 1)
    )
    for name in FAULTS:
        sequences = [event.sequence for event in listener.inspections if event.camera == name]
        assert sequences == list(range(1, station.ledger.accounts[name].announced + 1))
    assert held["early"][0] == held["late"][0]
    assert held["early"][1] == held["late"][1]
    assert held["late"][2] - held["early"][2] < 30 * _MIB
    for name in ("unplugged", "frozen"):
        states = [event.state for event in states_of(listener, name)]
        told = [event for event in states_of(listener, name) if event.outage is not None]
        assert set(pairwise(states)) <= {("online", "offline"), ("offline", "online"), ("offline", "offline")}
        assert all(event.outage and event.outage.seconds >= FAULTS[name]["outage_s"] - 0.02 for event in told)
    assert [event.state for event in states_of(listener, "healthy")] == ["online"]
    healthy = station.ledger.accounts["healthy"]
    assert healthy.invalid.keys() <= {"overrun"}  # a busy machine


def test_each_outage_is_told_and_the_other_cameras_go_on(tmp_path: Path) -> None:
    check(*run_through(make_config(tmp_path), 12))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_hundred_outages_leave_nothing_behind(tmp_path: Path) -> None:
    check(*run_through(make_config(tmp_path), 200))
