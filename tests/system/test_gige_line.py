"""The whole line on a GigE Vision camera of our own: outages of each kind, and lost packets."""

import time
from pathlib import Path

import pytest

from station.app import Station
from station.config import Config
from station.config_file import parse
from station.event import InspectionEvent
from tests.benchmarks.soak import KINDS, RECONNECT_S, soak
from tests.gige import CAMERA, GigeCamera, Wire
from tests.system.lines import listening

LONGEST_BACK_S = 16 * RECONNECT_S + 1.0
LONGEST_STOP_S = 6.0
ROUNDS = 2


@pytest.mark.slow
def test_each_kind_of_outage_is_told_and_got_over(tmp_path: Path) -> None:
    result = soak(ROUNDS * len(KINDS), tmp_path)
    assert max(result.noticed_s) < 1.0 + 0.5  # a busy machine
    assert max(result.back_s) < LONGEST_BACK_S
    assert result.announced == result.settled == result.told > 0
    assert result.sequences_whole
    assert result.threads[0] == result.threads[1]
    assert result.handles[0] == result.handles[1]


def make_config(folder: Path, packet_bytes: int = 8000) -> Config:
    camera = {
        "name": "gige",
        "type": "aravis",
        "address": CAMERA,
        "packet_bytes": packet_bytes,
        "reconnect_s": 0.1,
        "sfnc": {"width_px": 512, "height_px": 256, "rate_hz": 50.0},
    }
    tables = {
        "camera": [camera],
        "engine": {"backend": "fake"},
        "publish": {"endpoint": f"ipc://{folder}/events"},
        "metrics": {"port": 0},
        "control": {"enabled": False},
    }
    return parse(tables, folder / "config.toml")


@pytest.mark.parametrize("fault", ["killed", "frozen", "unplugged"])
@pytest.mark.parametrize("when", ["at once", "while it is looked for"])
def test_a_dead_camera_does_not_keep_the_station_from_stopping(tmp_path: Path, fault: str, when: str) -> None:
    config = make_config(tmp_path)
    with Wire() as wire, GigeCamera(wire) as camera, listening(config.publish.endpoint) as listener:
        with wire.at_station(), Station(config):
            while not listener.inspections:
                listener.hear()
            {"killed": camera.kill, "frozen": camera.freeze, "unplugged": wire.unplug}[fault]()
            while when != "at once" and not any(state.state == "offline" for state in listener.states):
                listener.hear()
            start_s = time.monotonic()
        assert time.monotonic() - start_s < LONGEST_STOP_S


def test_every_damaged_frame_is_invalid_and_says_what_came_of_it(tmp_path: Path) -> None:
    config = make_config(tmp_path, packet_bytes=1400)
    with Wire() as wire, GigeCamera(wire, "--lost", "0.01"), listening(config.publish.endpoint) as listener:
        with wire.at_station(), Station(config) as station:
            damaged = []
            while len(damaged) < 5:
                event = listener.hear()
                if isinstance(event, InspectionEvent) and event.reason == "incomplete":
                    damaged.append(event)
        listener.hear_rest()
    rows = [event.valid_rows for event in damaged if event.valid_rows is not None]  # none where its header was lost
    assert rows
    assert max(rows) < 256
    assert {state.state for state in listener.states} >= {"degraded"}
    assert station.ledger.accounts["gige"].invalid.get("incomplete", 0) >= 5
    assert "incomplete" in next(state.detail for state in listener.states if state.state == "degraded")
