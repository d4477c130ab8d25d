"""When the station can't work, and what its clock says."""

import time
from dataclasses import replace

import pytest

from station.gateways.base import View
from station.gateways.opcua.desk import StationClock, fault_of
from tests.opcua import heartbeat

VIEW = View("line", True, heartbeat(), 0, "journal1", "online", "", 0, 0, 0, 0, False)
_HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize(
    ("view", "cameras", "fault"),
    [
        (VIEW, (), ""),
        (replace(VIEW, beat=heartbeat("degraded")), (), ""),
        (replace(VIEW, online=False), (), "is not heard"),
        (replace(VIEW, beat=None), (), "is not heard"),
        (replace(VIEW, beat=heartbeat("offline")), (), "has no camera that works: top offline"),
        (replace(VIEW, beat=heartbeat("offline")), ("other",), ""),
    ],
)
def test_why_a_station_can_not_work(view: View, cameras: tuple[str, ...], fault: str) -> None:
    assert fault_of(view, cameras) == fault


def test_the_stations_clock_may_be_an_hour_off() -> None:
    clock, beat = StationClock(), heartbeat()
    clock.hear(replace(VIEW, beat=beat, now_ns=beat.published_ns - _HOUR_NS))
    assert abs(clock.now_ns() - time.time_ns() - _HOUR_NS) < 60_000_000_000
    clock.hear(replace(VIEW, beat=beat, now_ns=beat.published_ns))
    assert abs(clock.now_ns() - time.time_ns() - _HOUR_NS) < 60_000_000_000, "the same heartbeat says nothing new"
