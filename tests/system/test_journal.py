"""The journal of a whole line: kills, full and read-only disks, two stations, and the commands that look at it."""

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shadowline.errors import ConfigError
from station.app import Station
from station.config import Config
from station.event import Heartbeat, JournalRecord, ServiceEvent
from station.journal.database import open_reader
from station.journal.protocol import split
from station.journal.reader import read
from tests.journals import wait_until
from tests.system.killing import kill_over_and_over
from tests.system.lines import ScriptCamera, listening, make_config

MANY = 2**62
as_root = pytest.mark.skipif(os.getuid() != 0, reason="mounting a file system of its own needs root")


@pytest.fixture(autouse=True)
def _fresh_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "marks"))
    ScriptCamera.delivered.clear()
    ScriptCamera.gate.set()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB of its own."""
    (tmp_path / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", tmp_path / "disk"], check=True)
    yield tmp_path / "disk"
    subprocess.run(["umount", tmp_path / "disk"], check=True)


def configured(folder: Path, frames: int, journal: Path | None = None, **camera: Any) -> Config:
    table = {"folder": str(journal or folder / "journal"), "endpoint": f"ipc://{folder}/replay", "commit_ms": 2}
    control = {"endpoint": f"ipc://{folder}/control"}
    return make_config(folder, {"top": {"frames": frames, **camera}}, journal=table, control=control)


def run_to_the_end(config: Config) -> Station:
    with Station(config) as station:
        wait_until(lambda: station.done)
    return station


def record(station: Station) -> JournalRecord:
    """Return what the last heartbeat says of the journal."""
    wait_until(lambda: station.beat)
    assert station.beat is not None
    assert station.beat.journal is not None
    return station.beat.journal


def numbers_in(folder: Path) -> list[int]:
    with closing(open_reader(folder / "journal.db")) as reader:
        parts = read(reader, 0, MANY, MANY).parts
    return [message.event for part in parts for message in split(part) if not isinstance(message, Heartbeat)]


def test_every_message_is_in_the_journal_and_numbers_go_on_over_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        ScriptCamera.delivered.clear()
        assert run_to_the_end(configured(tmp_path, 500)).ledger.total()["inspected"] == 500
    assert numbers_in(tmp_path / "journal") == list(range(1, 1005))


def test_the_heartbeat_says_what_is_on_the_disk(tmp_path: Path) -> None:
    config = configured(tmp_path, 200)
    with Station(config) as station:
        wait_until(lambda: record(station).last == 202)
        found = record(station)
    assert (found.first, found.waiting, found.state) == (1, 0, "online")


def test_metrics_show_the_journal(tmp_path: Path) -> None:
    config = configured(tmp_path, 100)
    with Station(config) as station:
        wait_until(lambda: station.done)
        with urllib.request.urlopen(station.metrics_url, timeout=10) as answer:
            text = answer.read().decode()
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["station_journal_bytes",] > 0
    assert values["station_replay_replies_total", "page"] == 0


@as_root
def test_a_full_disk_costs_no_frame_and_what_waited_is_written_when_there_is_room(tmp_path: Path, disk: Path) -> None:
    config = configured(tmp_path, 10**9, disk / "journal", pace_s=0.001)
    with listening(config.publish.endpoint) as listener:
        with Station(config) as station:
            wait_until(lambda: record(station).last > 50)
            fill(disk / "filler")
            wait_until(lambda: record(station).state == "degraded")
            assert "full" in record(station).detail
            waiting = record(station).waiting
            wait_until(lambda: record(station).waiting > waiting + 100)
            (disk / "filler").unlink()
            wait_until(lambda: record(station).state == "online")
        listener.hear_rest()
    total = station.ledger.total()
    assert total["announced"] == total["inspected"]
    numbers = numbers_in(disk / "journal")
    assert numbers == list(range(1, numbers[-1] + 1))
    told = [message.state for message in listener.messages if isinstance(message, ServiceEvent)]
    assert told == ["degraded", "online"]


def fill(path: Path) -> None:
    """Write to `path` until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


@as_root
def test_a_read_only_disk_ends_the_start_in_one_line(tmp_path: Path, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with (
        pytest.raises(ConfigError, match=r"\[journal\] folder .*read-only file system: let this user write there"),
        Station(configured(tmp_path, 1, disk / "journal")),
    ):
        pytest.fail("started all the same")


def test_two_stations_on_one_journal_are_refused(tmp_path: Path) -> None:
    config = configured(tmp_path, 10**9, pace_s=0.01)
    (tmp_path / "other").mkdir()
    other = configured(tmp_path / "other", 1, tmp_path / "journal")
    with (
        Station(config),
        pytest.raises(ConfigError, match="another station uses it"),
        Station(other),
    ):
        pytest.fail("two write into one journal")


@pytest.mark.slow
def test_a_station_that_is_killed_loses_just_what_it_announces(tmp_path: Path) -> None:
    result = kill_over_and_over(tmp_path, kills=6)
    assert result.clashes == []
    assert result.heard_otherwise == []
    assert len(result.heard) > 100
    assert result.missing == result.announced
    assert len(result.opened_s) > 3
