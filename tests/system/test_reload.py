"""The configuration read again while the line runs: what changes between two frames, and what leaves all as it was."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engines import shipped_model
from shadowline.errors import ConfigError, StationError
from station.app import Station
from station.config import Config
from station.control_protocol import Swap, ask
from station.event import InspectionEvent, Message
from tests.system.lines import Listener, listening, make_config

ENOUGH = 10**9


def line(folder: Path, **tables: Any) -> Config:
    """Return a line on which every tenth frame has a defect."""
    control = {"endpoint": f"ipc://{folder}/control"}
    cameras = {"top": {"frames": ENOUGH, "marks": True, "pace_s": 0.002}}
    return make_config(folder, cameras, **({"control": control} | tables))


@contextmanager
def running(config: Config) -> Iterator[tuple[Station, Listener]]:
    with listening(config.publish.endpoint) as listener:
        with Station(config) as station:
            listener.hear_first()
            yield station, listener
        listener.hear_rest()


def hear(listener: Listener, wanted: Callable[[InspectionEvent], bool]) -> InspectionEvent:
    """Wait for an inspection that is `wanted`."""
    while True:
        message: Message = listener.hear()
        if isinstance(message, InspectionEvent) and wanted(message):
            return message


ACCEPT = {"verdict": {"default": {"action": "accept"}}, "station": {"budget_ms": 7.0}}


def test_rules_and_budget_change_between_two_frames(tmp_path: Path) -> None:
    old, new = line(tmp_path), line(tmp_path, **ACCEPT)
    with running(old) as (station, listener):
        hear(listener, lambda event: event.verdict == "reject")
        assert station.reload(new) == ["[station] budget_ms", "[verdict] default.action"]
        event = hear(listener, lambda event: event.budget_ms == 7.0 and bool(event.defects))
        assert event.verdict == "accept"
        assert station.reload(new) == []
        assert station.reload(old) == ["[station] budget_ms", "[verdict] default.action"]
        hear(listener, lambda event: event.verdict == "reject" and event.budget_ms == 20.0)
    hashes = {old.sha256[:12]: ("reject", 20.0), new.sha256[:12]: ("accept", 7.0)}
    for event in listener.inspections:
        verdict, budget_ms = hashes[event.origin.config]
        assert event.budget_ms == budget_ms
        assert event.verdict == (verdict if event.defects else "accept")


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"regions": {"scale": 2}, **ACCEPT}, r"\[regions\] scale"),
        ({"verdict": {"rules": {"dent": {"action": "accept"}}}}, "dent: not a label of the model"),
    ],
)
def test_what_cannot_be_taken_over_leaves_all_as_it_was(tmp_path: Path, tables: dict[str, Any], named: str) -> None:
    old = line(tmp_path)
    with running(old) as (station, listener):
        with pytest.raises(ConfigError, match=named):
            station.reload(line(tmp_path, **tables))
        assert station.config is old
        hear(listener, lambda event: event.sequence > 100 and event.verdict == "reject")
        assert station.reload(line(tmp_path, **ACCEPT))
    assert {event.origin.config for event in listener.inspections[:100]} == {old.sha256[:12]}


def test_while_a_model_is_on_its_way_in_rules_stay(tmp_path: Path) -> None:
    old = line(tmp_path, swap={"cache": str(tmp_path / "plans")})
    with running(old) as (station, _):
        ask(old.control.endpoint, Swap(str(shipped_model())))
        with pytest.raises(StationError, match="on its way in"):
            station.reload(line(tmp_path, swap={"cache": str(tmp_path / "plans")}, **ACCEPT))
        assert station.config is old


TOML = """
[station]
budget_ms = {budget_ms}
[[camera]]
name = "top"
type = "simulated"
width_px = 256
height_px = 128
{more}
[engine]
backend = "fake"
[publish]
endpoint = "ipc://{folder}/events"
heartbeat_s = 0.05
[metrics]
port = 0
[control]
enabled = false
"""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """A place for the daemon's notes to systemd; returns the next one in which a text stands."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(30)

        def wait_for(text: str) -> str:
            while text not in (note := channel.recv(4000).decode()):
                pass
            return note

        yield wait_for


def test_sighup_takes_a_good_file_and_keeps_running_on_a_bad_one(tmp_path: Path, told: Callable[[str], str]) -> None:
    path = tmp_path / "config.toml"

    def write(budget_ms: float, more: str = "") -> None:
        path.write_text(TOML.format(folder=tmp_path, budget_ms=budget_ms, more=more))

    write(20)
    process = subprocess.Popen(
        [sys.executable, "-m", "station", "run", "--config", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
    )
    assert process.stderr is not None
    try:
        while "metrics on " not in (said := process.stderr.readline()):
            assert said, "the station ended"
        metrics_url = said.split("metrics on ")[1].strip()
        told("READY=1")
        for budget_ms, more, outcome, words in (
            (10, "", "taken", "[station] budget_ms"),
            (10, "", "taken", "nothing has changed"),
            (30, "seed = 5", "refused", "[[camera]] number 1 seed: a change of that needs a restart"),
            (30, "sead = 5", "refused", "unknown key; did you mean seed?"),
            (30, "= [", "refused", "Invalid statement"),
            (40, "", "taken", "[station] budget_ms"),
        ):
            write(budget_ms, more)
            process.send_signal(signal.SIGHUP)
            note = told("RELOADING=1")
            assert "MONOTONIC_USEC=" in note
            note = told("READY=1")
            assert f"reload {outcome}" in note
            assert words in note
        assert "top online" in told("frames/s")
        with urllib.request.urlopen(metrics_url, timeout=10) as answer:
            metrics = answer.read().decode()
        assert 'station_config_reloads_total{outcome="taken"} 3.0' in metrics
        assert 'station_config_reloads_total{outcome="refused"} 3.0' in metrics
    finally:
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    lines = [line for line in log.splitlines() if " reload " in line]
    assert [line.split("reload ")[1].split(",")[0] for line in lines] == ["taken"] * 2 + ["refused"] * 3 + ["taken"]
