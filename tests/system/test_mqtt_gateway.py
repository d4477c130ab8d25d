"""`station gateway`, broker and the example consumer of docs/mqtt.md, each of them killed in between."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from station.gateways.mqtt.metrics import CAMERA, NODE
from tests.journal_double import JournalDouble, StationDouble, inspection, standing
from tests.mqtt_broker import Broker, broker, listening, until
from tests.system.test_client import COMMAND, ROOT, environment

CONFIG = """
[[camera]]
name = "top"
type = "simulated"
[publish]
endpoint = "{live}"
[journal]
folder = "journal"
endpoint = "{replay}"
[control]
endpoint = "ipc://{folder}/control"
[gateway.mes]
type = "mqtt"
port = {port}
max_age_s = 86400
keep_unheard = true
"""
DOCS = ROOT / "docs"
CORE_NODES = {"tab", "mqtt in", "mqtt-broker", "json", "switch", "change", "trigger", "debug", "function", "rbe"}
SAFE = ("persistence true", "persistence_location {folder}/", "autosave_on_changes true", "autosave_interval 1")
PLAIN = ("listener {port} 127.0.0.1", "allow_anonymous true")


@contextmanager
def started(folder: Path, name: str, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that is killed at the end; what it says is in `name`.log."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen([*map(str, words)], stdout=log, stderr=log, cwd=ROOT, env=environment())
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def gateway(folder: Path, station: StationDouble, one: Broker) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "gateway.toml"
    config.write_text(CONFIG.format(live=station.live, replay=station.replay, folder=folder, port=one.port))
    with started(folder, "gateway", *COMMAND, "gateway", "mes", "--config", config) as process:
        yield process


@contextmanager
def consumer(folder: Path, one: Broker) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, DOCS / "examples" / "mqtt_consumer.py", folder / "results.db", "127.0.0.1", str(one.port)]
    with started(folder, "consumer", *words) as process:
        yield process


def kept(folder: Path) -> list[int]:
    """Return the numbers of results in the consumer's database, in the order in which they came."""
    database = sqlite3.connect(folder / "results.db")
    try:
        return [event for (event,) in database.execute("select event from result order by rowid")]
    except sqlite3.OperationalError:  # the consumer has not begun
        return []
    finally:
        database.close()


class Line:
    """Says a result at most every 10 ms, and heartbeats."""

    def __init__(self, station: StationDouble, journal: JournalDouble) -> None:
        self._station, self._journal = station, journal
        self._due_s = self._beat_s = 0.0

    def step(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._beat_s:
            self._beat_s = now_s + 0.5
            self._station.beat(self._journal.last)
        if now_s >= self._due_s:
            self._due_s = now_s + 0.01
            result = inspection(self._journal.last + 1)
            result.published_ns = time.time_ns()
            self._journal.keep(result)
            self._station.say(result)


@contextmanager
def line(folder: Path) -> Iterator[tuple[StationDouble, Line]]:
    journal = JournalDouble()
    with standing(folder, journal) as station:
        yield station, Line(station, journal)


@pytest.mark.slow
def test_every_result_is_kept_once_over_kills_of_gateway_consumer_and_broker(tmp_path: Path) -> None:
    def grows(what: str) -> None:
        seen = len(kept(tmp_path))
        until(lambda: len(kept(tmp_path)) >= seen + 20, what, steel.step)

    with line(tmp_path) as (station, steel), broker(tmp_path, *PLAIN, *SAFE) as one:
        with consumer(tmp_path, one):
            with gateway(tmp_path, station, one):
                grows("the first results")
                one.kill()
                one.start()
                grows("a result after the broker was killed")
            with gateway(tmp_path, station, one):
                grows("a result after the gateway was killed")
        with gateway(tmp_path, station, one), consumer(tmp_path, one):
            grows("a result after the consumer was killed")
        numbers = kept(tmp_path)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_sigterm_ends_the_session_with_its_will(tmp_path: Path) -> None:
    with line(tmp_path) as (station, steel), broker(tmp_path) as one, listening(one.port) as listener:
        with gateway(tmp_path, station, one) as process:
            until(lambda: listener.on("/status"), "the birth", steel.step)
            process.terminate()
            assert process.wait(20) == 0
        until(lambda: one.connections == 1, "the end of the session")
        assert json.loads(listener.on("/status")[-1].payload)["gateway"] == "offline"


def test_the_document_shows_every_metric() -> None:
    text = (DOCS / "mqtt.md").read_text()
    missing = [name for name in (*NODE, *CAMERA) if f"`{name}`" not in text]
    assert not missing


def test_the_document_shows_the_example_that_is_tested() -> None:
    assert "examples/mqtt_consumer.py" in (DOCS / "mqtt.md").read_text()


def test_the_node_red_flow_is_whole_and_of_core_nodes() -> None:
    flow = json.loads((DOCS / "examples" / "node-red-mqtt-flow.json").read_text())
    nodes = {node["id"]: node for node in flow}
    assert len(nodes) == len(flow)
    assert {node["type"] for node in flow} <= CORE_NODES
    for node in flow:
        assert {target for port in node.get("wires", []) for target in port} <= nodes.keys()
        assert node["type"] in ("tab", "mqtt-broker") or nodes[node["z"]]["type"] == "tab"
        assert node["type"] != "mqtt in" or nodes[node["broker"]]["type"] == "mqtt-broker"
    topics = {node["topic"] for node in flow if node["type"] == "mqtt in"}
    assert topics == {"shadowline/+/verdict/#", "shadowline/+/status", "shadowline/+/heartbeat"}
    assert nodes["silence"]["op2"] == "reject"
    assert nodes["silence"]["extend"] is True
