"""Evidence of a running line: kept as published; over a kill, a full disk and beside a second station."""

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from shadowline.errors import ConfigError
from station.app import Station
from station.archive.evidence import RECORD, decode
from station.config import Config
from station.event import InspectionEvent, ServiceEvent
from station.event import encode as encode_message
from tests.evidence import run_command
from tests.system.lines import Listener, ScriptCamera, listening, make_config

ROOM = {"frames_free_mb": 0, "crops_free_mb": 0}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    ScriptCamera.delivered.clear()
    ScriptCamera.gate.clear()
    yield
    ScriptCamera.gate.set()


def line(folder: Path, frames: int, archive: Path, **settings: Any) -> Config:
    """Return a line on which every tenth frame has a defect."""
    camera = {"frames": frames, "marks": True, "size_px": 256, **settings}
    return make_config(folder, {"top": camera}, archive={"folder": str(archive), **ROOM})


def wait_until(true: Callable[[], bool], station: Station | None = None) -> None:
    """Wait for it, as long as `station` runs."""
    for _ in range(2000):
        if true():
            return
        assert station is None or not station.done or true()
        threading.Event().wait(0.01)
    raise AssertionError("it never came to pass")


def run_to_the_end(config: Config) -> Listener:
    with listening(config.publish.endpoint) as listener:
        with Station(config) as station:
            listener.hear_first()
            wait_until(lambda: station.done, station)
            wait_until(lambda: read_figures(station.metrics_url).total() == station.ledger.accounts["top"].rejected)
        listener.hear_rest()
    return listener


def records(folder: Path) -> dict[int, bytes]:
    found = [path.read_bytes() for path in folder.glob(f"2*/*/*/*/{RECORD}")]
    return {decode(content).event.event: content for content in found}


def test_what_was_rejected_is_kept_as_it_was_published(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    listener = run_to_the_end(line(tmp_path, 50, folder, pace_s=0.005))
    rejected = {one.event: one for one in listener.inspections if one.verdict == "reject"}
    kept = records(folder)
    assert set(kept) == set(rejected)
    assert len(kept) == 5
    assert all(encode_message(rejected[number]) in content for number, content in kept.items())


def keeping_process(station: int) -> psutil.Process:
    """Return the process that keeps evidence for the station of this number."""
    children = psutil.Process(station).children(recursive=True)
    (found,) = [child for child in children if "station.archive.serve" in child.cmdline()]
    return found


def read_figures(url: str) -> Counter[str]:
    """Return the archive's counters by their last word, frames kept and dropped."""
    lines = urlopen(url, timeout=10).read().decode().splitlines()
    samples = [re.fullmatch(r"station_archive_(kept|dropped)_frames_total(?:\{.*\})? (.+)", line) for line in lines]
    figures: Counter[str] = Counter()
    for sample in filter(None, samples):
        figures[sample[1]] += round(float(sample[2]))
    return figures


def test_a_process_that_is_killed_costs_evidence_that_is_counted_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    config = line(tmp_path, 10**6, folder, pace_s=0.002)
    with listening(config.publish.endpoint) as listener:
        with Station(config) as station:
            listener.hear_first()
            for _ in range(2):
                seen = len(records(folder))
                wait_until(lambda: len(records(folder)) > seen + 3, station)  # noqa: B023 - called at once
                keeping_process(os.getpid()).kill()
                hear_until(listener, "offline")
                hear_until(listener, "online")
            ScriptCamera.delivered["top"] = 10**6
            wait_until(lambda: station.done, station)
            wait_until(lambda: read_figures(station.metrics_url).total() == station.ledger.accounts["top"].rejected)
            figures = read_figures(station.metrics_url)
        listener.hear_rest()
    assert states(listener) == ["offline", "online"] * 2
    kept = len(records(folder))
    assert figures["kept"] <= kept <= figures["kept"] + 2
    sequences = [one.sequence for one in listener.inspections]
    assert sequences == list(range(1, len(sequences) + 1))
    assert ", 0 of them damaged" in run_command("index", "--folder", folder)


def test_the_index_is_not_touched_beside_a_running_station(tmp_path: Path) -> None:
    config = line(tmp_path, 10**6, tmp_path / "archive", pace_s=0.01)
    ScriptCamera.gate.set()
    with Station(config) as station:
        station.first_verdict.wait(20)
        with pytest.raises(ConfigError, match="another station uses it"):
            run_command("index", "--folder", tmp_path / "archive")
        (tmp_path / "other").mkdir()
        with pytest.raises(ConfigError, match="another station uses it"):
            Station(line(tmp_path / "other", 1, tmp_path / "archive")).__enter__()


def test_a_label_that_no_model_gives_ends_the_start(tmp_path: Path) -> None:
    config = make_config(tmp_path, {"top": {}}, archive={"folder": str(tmp_path / "archive"), "labels": ["scratch"]})
    with pytest.raises(ConfigError, match=r"\[archive\] labels scratch: not a label of the model \(defect\)"):
        Station(config).__enter__()


@pytest.mark.slow
def test_after_a_kill_whatever_is_there_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    (tmp_path / "config.toml").write_text(
        f"""
[[camera]]
name = "top"
type = "python"
factory = "tests.system.lines:ScriptCamera"
settings = {{ frames = 1000000, marks = true, size_px = 512, pace_s = 0.001 }}
[engine]
backend = "fake"
[publish]
endpoint = "ipc://{tmp_path}/events"
[metrics]
port = 0
[control]
endpoint = "ipc://{tmp_path}/control"
[archive]
folder = "archive"
frames = "all"
frames_free_mb = 0
crops_free_mb = 0
"""
    )
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _OPEN_GATE, "run", "--config", str(tmp_path / "config.toml")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            seen = len(records(folder))
            while len(records(folder)) < seen + 20:
                assert process.poll() is None
                threading.Event().wait(0.05)
            keeping = keeping_process(process.pid)
        finally:
            process.kill()
            process.wait()
        keeping.wait(20)
        assert ", 0 of them damaged" in run_command("index", "--folder", folder)
        assert os.listdir(folder / ".work") == []


_OPEN_GATE = """
from station.command import main
from tests.system.lines import ScriptCamera
ScriptCamera.gate.set()
main()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill_up(file: Path) -> None:
    """Write into `file` until its disk has no room left."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(descriptor, bytes(4096)):
            pass
    os.close(descriptor)


def states(listener: Listener) -> list[str]:
    return [message.state for message in listener.messages if isinstance(message, ServiceEvent)]


def test_a_disk_that_runs_full_and_empties_again_costs_evidence_and_nothing_else(
    tmp_path: Path, small_disk: Path
) -> None:
    config = line(tmp_path, 10**6, small_disk / "archive", pace_s=0.005)
    filler = small_disk / "filler"
    with listening(config.publish.endpoint) as listener:
        with Station(config) as station:
            listener.hear_first()
            wait_until(lambda: len(records(small_disk / "archive")) > 3, station)
            fill_up(filler)
            hear_until(listener, "offline")
            filler.unlink()
            hear_until(listener, "online")
            ScriptCamera.delivered["top"] = 10**6
        listener.hear_rest()
    assert states(listener) == ["offline", "online"]
    numbers = [message.event for message in listener.messages if hasattr(message, "event")]
    assert numbers == list(range(1, len(numbers) + 1))
    sequences = [one.sequence for one in listener.messages if isinstance(one, InspectionEvent)]
    assert sequences == list(range(1, len(sequences) + 1))
    assert ", 0 of them damaged" in run_command("index", "--folder", small_disk / "archive")


def hear_until(listener: Listener, state: str) -> None:
    while True:
        message = listener.hear()
        if isinstance(message, ServiceEvent) and message.state == state:
            return


def test_a_disk_mounted_read_only_ends_the_start(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(ConfigError, match=r"\[archive\] folder .*read-only file system"):
        Station(line(tmp_path, 1, small_disk)).__enter__()
