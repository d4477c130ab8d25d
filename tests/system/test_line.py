"""The whole line in this process: real threads, finder, sockets and metrics; a scripted camera, a fake engine."""

import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from engines import FakeEngine
from shadowline.errors import CameraError, EngineError
from station import app, inspecting
from station.app import Station
from station.config import Config, FakeEngineConfig
from station.engine import OpenEngine
from station.event import InspectionEvent
from tests.system.lines import Listener, ScriptCamera, listening, make_config

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def run_to_the_end(config: Config, max_frames: int | None = None) -> Station:
    """Run a station until its cameras end, and let it drain."""
    ScriptCamera.gate.set()
    with Station(config, max_frames) as station:
        wait_until_done(station)
    return station


def wait_until_done(station: Station) -> None:
    for worker in station.workers:
        if worker.name.startswith("capture"):
            worker.join()
    assert station.done


def heard(config: Config, max_frames: int | None = None) -> tuple[Station, Listener]:
    """Run a station to its end with a subscriber that was there first."""
    with listening(config.publish.endpoint) as listener:
        with Station(config, max_frames) as station:
            listener.hear_first()
            wait_until_done(station)
        listener.hear_rest()
    return station, listener


def answering(monkeypatch: pytest.MonkeyPatch, classify: Classify) -> None:
    def open_fake(config: object, swap: object) -> OpenEngine:
        return OpenEngine(FakeEngine(("defect",), classify).__enter__(), FakeEngineConfig(backend="fake"), "")

    monkeypatch.setattr(inspecting, "open_engine", open_fake)


FAULTS = {
    "none": {},
    "lost": {"lose_every": 7},
    "incomplete": {"cut_every": 13},
    "repeated": {"repeat_every": 9},
    "everything at once": {"lose_every": 7, "cut_every": 13, "repeat_every": 9, "unplug_every": 50},
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_every_announced_frame_has_exactly_one_event(tmp_path: Path, faults: dict[str, int]) -> None:
    config = make_config(tmp_path, {"top": {"frames": 300, "marks": True, **faults}})
    station, listener = heard(config)
    events = listener.inspections
    assert [event.sequence for event in events] == list(range(1, station.ledger.announced + 1))
    numbers = [message.event for message in listener.messages if hasattr(message, "event")]
    assert numbers == list(range(1, len(numbers) + 1))
    account = station.ledger.accounts["top"]
    assert sum(event.verdict == "accept" for event in events) == account.accepted > 0
    assert sum(event.verdict == "reject" for event in events) == account.rejected > 0
    for reason, count in account.invalid.items():
        assert sum(event.reason == reason for event in events) == count
    final = listener.heartbeats[-1].ledger["top"]
    assert (final.announced, final.inspected, final.invalid) == (account.announced, account.inspected, account.invalid)


def test_lost_frames_are_those_that_the_camera_skipped(tmp_path: Path) -> None:
    station = run_to_the_end(make_config(tmp_path, {"top": {"frames": 70, "lose_every": 7}}))
    assert station.ledger.total() == {"announced": 80 - 0, "inspected": 70, "invalid": {"lost": 10}}


def test_ends_after_exactly_so_many_frames_over_all_cameras(tmp_path: Path) -> None:
    config = make_config(tmp_path, {"a": {"frames": 10**9}, "b": {"frames": 10**9, "lose_every": 3}})
    assert run_to_the_end(config, max_frames=777).ledger.announced == 777


def test_a_camera_that_comes_and_goes_is_reported_each_time(tmp_path: Path) -> None:
    _, listener = heard(make_config(tmp_path, {"top": {"frames": 100, "unplug_every": 40}}))
    assert [(event.state, event.detail) for event in listener.states] == [
        ("online", ""),
        ("offline", "unplugged"),
        ("online", "back after 0.0 s unseen"),
        ("offline", "unplugged"),
        ("online", "back after 0.0 s unseen"),
        ("ended", "the source is at its end"),
    ]


def test_a_slow_engine_overruns_the_queue_and_the_ledger_still_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        while ScriptCamera.delivered["top"] < 2000:
            pass
        return np.ones((len(crops), 1), np.float32)

    answering(monkeypatch, slow)
    config = make_config(tmp_path, {"top": {"frames": 2000, "marks": True, "patient": False}})
    station, listener = heard(config)
    assert station.ledger.accounts["top"].invalid["overrun"] > 1000
    assert [event.sequence for event in listener.inspections] == list(range(1, 2001))


def test_an_engine_that_raises_spoils_only_its_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def failing(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        calls.append(len(crops))
        if len(calls) % 2:
            raise EngineError("out of memory")
        return np.ones((len(crops), 1), np.float32)

    answering(monkeypatch, failing)
    station, listener = heard(make_config(tmp_path, {"top": {"frames": 200, "marks": True}}))
    assert station.ledger.accounts["top"].invalid == {"engine": 10}
    assert station.ledger.accounts["top"].rejected == 10
    assert {event.detail for event in listener.inspections if event.reason == "engine"} == {"out of memory"}


def test_the_finder_learns_from_each_frame_once_its_verdict_is_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    learn, put = inspecting.Inspector.learn, app.Outbox.put
    monkeypatch.setattr(inspecting.Inspector, "learn", lambda self, frame: (order.append("learn"), learn(self, frame)))
    monkeypatch.setattr(
        app.Outbox,
        "put",
        lambda self, message: (
            order.append("event") if isinstance(message, InspectionEvent) else None,
            put(self, message),
        ),
    )
    run_to_the_end(make_config(tmp_path, {"top": {"frames": 20}}))
    assert order == ["event", "learn"] * 20


def test_nan_is_invalid_and_never_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, lambda crops: np.full((len(crops), 1), np.nan, np.float32))
    station = run_to_the_end(make_config(tmp_path, {"top": {"frames": 50, "marks": True}}))
    assert station.ledger.accounts["top"].invalid == {"not_finite": 5}


def test_a_fault_of_the_station_itself_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise MemoryError("not an expected fault")

    monkeypatch.setattr(inspecting.Inspector, "inspect", broken)
    config = make_config(tmp_path, {"top": {"frames": 10**9, "marks": True}})
    ScriptCamera.gate.set()
    with pytest.raises(TypeError), Station(config) as station:
        next(worker for worker in station.workers if worker.name == "inspect").join()


def test_a_camera_that_can_not_be_made_fails_the_start(tmp_path: Path) -> None:
    config = make_config(tmp_path, {"top": {"frames": 1}})
    bad = config.model_copy(update={"camera": (config.camera[0].model_copy(update={"factory": "tests.none:Camera"}),)})
    with pytest.raises(CameraError, match=r"tests.none"), Station(bad):
        pytest.fail("started all the same")


@pytest.mark.parametrize("manner", ["slow", "dead", "absent"])
def test_a_subscriber_costs_the_line_nothing(tmp_path: Path, manner: str) -> None:
    config = make_config(tmp_path, {"top": {"frames": 5000, "marks": True}}, station={"queue_frames": 4})
    with zmq.Context(io_threads=1) as context:
        socket = context.socket(zmq.SUB)
        socket.linger, socket.rcvhwm = 0, 1
        socket.subscribe(b"")
        if manner != "absent":
            socket.connect(config.publish.endpoint)
        ScriptCamera.gate.set()
        with Station(config) as station:
            if manner == "dead":
                socket.close()
            wait_until_done(station)
        socket.close()
    assert station.ledger.total() == {"announced": 5000, "inspected": 5000, "invalid": {}}


def test_metrics_say_what_the_ledger_says(tmp_path: Path) -> None:
    config = make_config(tmp_path, {"top": {"frames": 400, "marks": True, "lose_every": 10}})
    with listening(config.publish.endpoint) as listener, Station(config) as station:
        listener.hear_first()
        assert list(listener.hear_heartbeats())
        with urllib.request.urlopen(station.metrics_url, timeout=10) as answer:
            text = answer.read().decode()
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    top = ("camera", "top")
    assert values["station_frames_announced_total", top] == 440
    assert values["station_frames_total", top, ("outcome", "accept"), ("reason", "")] == 360
    assert values["station_frames_total", top, ("outcome", "reject"), ("reason", "")] == 40
    assert values["station_frames_total", top, ("outcome", "invalid"), ("reason", "lost")] == 40
    assert values["station_end_to_end_seconds_count",] == 440
    assert values["station_stage_seconds_count", ("stage", "regions")] == 400
    assert values["station_defects_total", ("label", "defect")] == 40
    assert values["station_camera_state", top, ("state", "ended")] == 1
    assert values["station_camera_outages_total", top] == 0
    assert values["station_camera_stream_total", top, ("count", "underruns")] == 3
    assert values["station_camera_frame_age_seconds", top] > 0
    assert values["station_encoder_jumps_total",] == 0
    assert len(text.splitlines()) < 250, "a scrape holds the interpreter: few series"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_million_frames(tmp_path: Path) -> None:
    faults = {"lose_every": 1000, "cut_every": 777, "repeat_every": 1234, "unplug_every": 100_000}
    config = make_config(tmp_path, {"top": {"frames": 10**9, "marks": True, **faults}})
    process, resident = psutil.Process(), []
    with (
        listening(config.publish.endpoint, b"heartbeat") as listener,
        Station(config, max_frames=1_000_000) as station,
    ):
        listener.hear_first()
        for beat in listener.hear_heartbeats():
            if beat.ledger["top"].announced > 100_000:
                resident.append(process.memory_info().rss / 2**20)
    total = station.ledger.total()
    assert total["announced"] == 1_000_000
    assert station.ledger.balanced
    assert resident[-1] - resident[0] < 8, f"resident memory grows: {resident} MiB"
