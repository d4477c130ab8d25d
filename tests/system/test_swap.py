"""Models that come and go while the line runs: real threads, sockets, builds and networks; a scripted camera."""

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import Engine, FakeEngine
from engines.plan import Plan
from shadowline.errors import EngineError, StationError
from station import swapper
from station.app import Station
from station.config import Config, EngineConfig
from station.control_protocol import ModelStatus, Rollback, Status, Swap, ask
from station.event import InspectionEvent, ModelEvent
from tests.ensemble import CARD, write_ensemble
from tests.system.lines import Listener, ScriptCamera, listening, make_config, running

MODELS = Path(swapper.__file__).parents[1] / "engines" / "models"
INT8, FP32 = MODELS / "neu-compact.onnx", MODELS / "neu-compact-fp32.onnx"
LABELS = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
ENOUGH = 10**9

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def line(folder: Path, swap: dict[str, Any] | None = None, **tables: Any) -> Config:
    """Return a line of 500 frames a second on the shipped model, every tenth with a defect, and with quick swaps."""
    quick = {"shadow_crops": 20, "probation_frames": 50, "max_disagreement": 1.0, "cache": str(folder / "plans")}
    return make_config(
        folder,
        {"top": {"frames": ENOUGH, "marks": True, "pace_s": 0.002}},
        **{
            "station": {"budget_ms": 10_000.0},  # a busy computer must not look like a slow model
            "engine": {"backend": "onnx_runtime"},
            "swap": quick | (swap or {}),
            "control": {"endpoint": f"ipc://{folder}/control"},
            **tables,
        },
    )


def finish(config: Config, request: Swap | Rollback) -> ModelStatus:
    """Ask for a job and wait for its end."""
    endpoint = config.control.endpoint
    status = ask(endpoint, request)
    job = status.job
    for _ in range(3000):
        if status.job == job and status.stage == "idle":
            return status
        time.sleep(0.02)  # the socket has nothing to wait on
        status = ask(endpoint, Status())
    raise AssertionError(f"job {job} does not end: {status}")


def models_of(listener: Listener) -> list[str]:
    """Return the model of each inspection, in order."""
    return [event.origin.model for event in listener.inspections]


def changes(listener: Listener) -> list[ModelEvent]:
    return [message for message in listener.messages if isinstance(message, ModelEvent)]


def check_nothing_lost(station: Station, listener: Listener) -> None:
    """Every announced frame was really judged and has its event, and no number is missing."""
    account = station.ledger.accounts["top"]
    assert account.announced == account.inspected
    assert sum(account.invalid.values()) == 0
    assert [event.sequence for event in listener.inspections] == list(range(1, account.announced + 1))
    numbers = [message.event for message in listener.messages if hasattr(message, "event")]
    assert numbers == list(range(1, len(numbers) + 1))


def candidate(monkeypatch: pytest.MonkeyPatch, classify: Classify) -> None:
    """Let every model that is swapped in answer by `classify`, which must stand the warm-up by itself."""

    def open_fake(plan: Plan, config: EngineConfig) -> Engine:
        return FakeEngine(LABELS, classify, plan.passport.card.crop).__enter__()

    monkeypatch.setattr(swapper, "open_plan", open_fake)


def answer(crops: NDArray[np.uint8], label: int = 0) -> NDArray[np.float32]:
    probabilities = np.zeros((len(crops), len(LABELS)), np.float32)
    probabilities[:, label] = 1.0
    return probabilities


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_swaps_under_load_cost_no_frame(tmp_path: Path) -> None:
    config = line(tmp_path)
    with running(config) as (station, listener):
        for number in range(100):
            status = finish(config, Swap(str((FP32, INT8)[number % 2])))
            assert status.outcome == "kept", status.report
    check_nothing_lost(station, listener)
    models = models_of(listener)
    assert sum(before != after for before, after in pairwise(models)) == 100
    assert len(set(models)) == 2
    assert [event.action for event in changes(listener)].count("swapped") == 100


def test_a_swap_and_the_way_back(tmp_path: Path) -> None:
    config = line(tmp_path)
    with running(config) as (station, listener):
        first = ask(config.control.endpoint, Status())
        assert (first.previous, first.stage) == (None, "idle")
        swapped = finish(config, Swap(str(FP32)))
        assert swapped.outcome == "kept", swapped.report
        assert swapped.live != swapped.previous == first.live
        assert sum(swapped.shadowed.values()) >= 20
        back = finish(config, Rollback())
        assert (back.live, back.previous) == (first.live, swapped.live)
    check_nothing_lost(station, listener)
    models = models_of(listener)
    assert [after for before, after in pairwise(["", *models]) if after != before] == [
        first.live,
        swapped.live,
        first.live,
    ]
    actions = [event.action for event in changes(listener)]
    assert actions == ["building", "shadowing", "swapped", "kept", "swapped", "kept"]
    last = listener.heartbeats[-1]
    assert (last.origin.model, last.engine.why) == (first.live, "as configured")


def test_an_ensemble_with_another_crop_and_other_labels_comes_in(tmp_path: Path) -> None:
    write_ensemble(tmp_path / "ensemble.onnx")
    config = line(tmp_path)
    with running(config) as (station, listener):
        status = finish(config, Swap(str(tmp_path / "ensemble.onnx")))
        assert status.outcome == "kept", status.report
        back = finish(config, Rollback())
        assert back.outcome == "kept"
    check_nothing_lost(station, listener)
    named = {one.label for event in listener.inspections if event.origin.model == status.live for one in event.defects}
    assert named
    assert named <= {*CARD.labels, "unknown"}


def test_a_precision_is_built_proved_and_swapped_in(tmp_path: Path) -> None:
    config = line(tmp_path, {"max_flip_share": 0.1}, engine={"backend": "onnx_runtime", "model": str(FP32)})
    with running(config) as (station, listener):
        status = finish(config, Swap(str(FP32), "int8"))
        assert status.outcome == "kept", status.report
        assert status.engine.endswith("int8")
    check_nothing_lost(station, listener)


def test_a_model_that_fails_in_use_is_taken_back_within_the_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = threading.Event()

    def classify(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if threading.current_thread().name == "inspect":
            in_use.set()
            raise EngineError("the GPU fell off the bus")
        return answer(crops)

    candidate(monkeypatch, classify)
    config = line(tmp_path)
    with running(config) as (station, listener):
        before = ask(config.control.endpoint, Status()).live
        status = finish(config, Swap(str(FP32)))
        assert (status.outcome, status.live, status.previous) == ("rolled_back", before, None)
    assert in_use.is_set()
    check_nothing_lost(station, listener)
    assert [event.action for event in changes(listener)][-2:] == ["failed_over", "rolled_back"]
    assert {event.origin.model for event in listener.inspections if event.defects} == {before}


def test_a_model_that_makes_decisions_late_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def classify(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if threading.current_thread().name == "inspect":
            threading.Event().wait(0.3)
        return answer(crops)

    candidate(monkeypatch, classify)
    config = line(tmp_path, {"probation_frames": 400}, station={"budget_ms": 250.0})
    with running(config) as (station, listener):
        before = ask(config.control.endpoint, Status()).live
        status = finish(config, Swap(str(FP32)))
        assert (status.outcome, status.live) == ("rolled_back", before), status.report
        assert "late" in status.report
    check_nothing_lost(station, listener)


REFUSED: dict[str, tuple[dict[str, Any], Classify, str]] = {
    "another opinion on most crops": ({"max_disagreement": 0.2}, lambda crops: answer(crops, 5), "otherwise"),
    "an error beside the live model": ({}, lambda crops: (_ for _ in ()).throw(EngineError("no memory")), "no memory"),
}


@pytest.mark.parametrize(("limits", "classify", "words"), REFUSED.values(), ids=REFUSED)
def test_a_candidate_that_does_not_convince_never_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, Any], classify: Classify, words: str
) -> None:
    candidate(monkeypatch, classify)
    config = line(tmp_path, limits)
    with running(config) as (station, listener):
        before = ask(config.control.endpoint, Status()).live
        status = finish(config, Swap(str(FP32)))
        assert (status.outcome, status.live) == ("refused", before)
        assert words in status.report
    check_nothing_lost(station, listener)
    assert set(models_of(listener)) == {before}


def test_a_candidate_that_is_worse_on_the_golden_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 96, 96), np.uint8)
    (tmp_path / "golden" / "scratches").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / "golden" / "scratches" / f"{number}.png"), picture)
    config = line(tmp_path, {"golden": str(tmp_path / "golden")}, engine={"backend": "fake", "labels": LABELS[::-1]})
    candidate(monkeypatch, lambda crops: answer(crops, 1))
    with running(config) as (station, listener):
        assert ask(config.control.endpoint, Status()).golden == 1.0
        status = finish(config, Swap(str(FP32)))
        assert status.outcome == "refused"
        assert "golden set" in status.report
    check_nothing_lost(station, listener)


def test_a_rule_for_a_label_that_the_new_model_lacks_refuses_it(tmp_path: Path) -> None:
    config = line(
        tmp_path,
        engine={"backend": "fake", "labels": ("defect", "dent")},
        verdict={"rules": {"dent": {"action": "accept"}}},
    )
    with running(config) as (station, listener):
        status = finish(config, Swap(str(FP32)))
        assert status.outcome == "refused"
        assert "dent" in status.report
    check_nothing_lost(station, listener)


BAD_FILES = {"empty": b"", "no model": b"\x00" * 5000, "cut off": INT8.read_bytes()[:100_000]}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_model_file_is_refused_and_the_line_runs_on(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    config = line(tmp_path)
    with running(config) as (station, listener):
        status = finish(config, Swap(str(tmp_path / "bad.onnx")))
        assert status.outcome == "refused"
        assert "bad.onnx" in status.report
        assert finish(config, Swap(str(FP32))).outcome == "kept"
    check_nothing_lost(station, listener)


def test_only_one_model_comes_in_at_a_time(tmp_path: Path) -> None:
    config = line(tmp_path, {"shadow_crops": ENOUGH // 1000})
    with running(config) as (station, listener):
        ask(config.control.endpoint, Swap(str(FP32)))
        with pytest.raises(StationError, match="another model is on its way in"):
            ask(config.control.endpoint, Swap(str(FP32)))
        with pytest.raises(StationError, match="another model is on its way in"):
            ask(config.control.endpoint, Rollback())
    check_nothing_lost(station, listener)
    assert [event.action for event in changes(listener)][-1] == "refused"


def test_a_station_that_stops_in_the_probation_says_that_the_model_was_swapped(tmp_path: Path) -> None:
    config = line(tmp_path, {"probation_frames": 10**6})
    with running(config) as (station, listener):
        ask(config.control.endpoint, Swap(str(FP32)))
        while ask(config.control.endpoint, Status()).stage != "probation":
            pass
    check_nothing_lost(station, listener)
    assert [event.action for event in changes(listener)] == ["building", "shadowing", "swapped", "kept"]


def test_an_idle_line_takes_the_new_model_too(tmp_path: Path) -> None:
    config = line(tmp_path, {"shadow_s": 0.2})
    with listening(config.publish.endpoint) as listener:
        with Station(config) as station:
            listener.hear()
            status = finish(config, Swap(str(FP32)))
            assert status.outcome == "kept", status.report
            ScriptCamera.gate.set()
            while not listener.inspections:
                listener.hear()
        listener.hear_rest()
    assert {event.origin.model for event in listener.inspections} == {status.live}
    assert station.ledger.balanced
    assert isinstance(listener.inspections[0], InspectionEvent)
