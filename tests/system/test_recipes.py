"""Recipes that come and go while the line runs: real threads, sockets, builds and networks; a scripted camera."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Binding, CalibrationStore
from calibration.limit import Choice
from engines import Engine, FakeEngine
from engines.plan import Plan
from shadowline.errors import ConfigError, EngineError, StationError
from station import swapper
from station.app import Station
from station.config import Config, EngineConfig, RegionsConfig
from station.control_protocol import (
    Job,
    Part,
    Prepare,
    Recipe,
    RecipeRequest,
    Recipes,
    RecipeStatus,
    Rollback,
    Status,
    Swap,
    Unprepare,
    ask,
)
from station.event import InspectionEvent, ModelEvent
from station.limit import LimitSettings
from tests.system.lines import Listener, listening, make_config, running

MODELS = Path(swapper.__file__).parents[1] / "engines" / "models"
INT8, FP32 = MODELS / "neu-compact.onnx", MODELS / "neu-compact-fp32.onnx"
LABELS = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
STRICT = {"external_id": 1, "model": str(INT8), "budget_ms": 10_000.0}
LOOSE = {"external_id": 2, "model": str(FP32), "budget_ms": 20_000.0, "verdict": {"default": {"action": "accept"}}}
LENIENT = {"verdict": {"default": {"action": "accept"}}, "budget_ms": 30_000.0}
RECIPES = {"strict": STRICT, "loose": LOOSE, "lenient": LENIENT}
ENOUGH = 10**9


def line(
    folder: Path, recipe: dict[str, Any], swap: dict[str, Any] | None = None, cameras: int = 1, **tables: Any
) -> Config:
    """Return a line of 500 frames a second a camera, every tenth with a defect, on the shipped model."""
    settings = {"frames": ENOUGH, "marks": True, "pace_s": 0.002}
    return make_config(
        folder,
        dict.fromkeys(("top", "bottom")[:cameras], settings),
        **{
            "station": {"budget_ms": 60_000.0},
            "engine": {"backend": "onnx_runtime"},
            "swap": {"cache": str(folder / "plans")} | (swap or {}),
            "control": {"endpoint": f"ipc://{folder}/control"},
            "recipe": recipe,
            **tables,
        },
    )


def ask_until(config: Config, request: RecipeRequest, wanted: Callable[[RecipeStatus], bool]) -> RecipeStatus:
    """Send `request`, then look until it is as `wanted`."""
    status = ask(config.control.endpoint, request)
    for _ in range(3000):
        if wanted(status):
            return status
        time.sleep(0.02)  # the socket has nothing to wait on
        status = ask(config.control.endpoint, Recipes())
    raise AssertionError(f"it never comes: {status}")


def finish(config: Config, request: RecipeRequest) -> RecipeStatus:
    """Ask for a preparation, or for one that needs it, and wait for its end."""
    return ask_until(config, request, lambda status: status.stage == "idle")


def states(status: RecipeStatus) -> dict[str, str]:
    return {one.name: one.state for one in status.recipes}


def check_nothing_lost(station: Station, listener: Listener) -> None:
    """Every announced frame was really judged and has its event, and no number is missing."""
    for camera, account in station.ledger.accounts.items():
        assert account.announced == account.inspected
        own = [event.sequence for event in listener.inspections if event.camera == camera]
        assert own == list(range(1, account.announced + 1))
    numbers = [message.event for message in listener.messages if hasattr(message, "event")]
    assert numbers == list(range(1, len(numbers) + 1))


RULES = {
    "": (INT8.stem, "reject", 60_000.0),
    "strict": (INT8.stem, "reject", 10_000.0),
    "loose": (FP32.stem, "accept", 20_000.0),
    "lenient": (INT8.stem, "accept", 30_000.0),
}


def check_none_mixed(listener: Listener, titles: dict[str, str]) -> None:
    """Each event is judged by the model, the rules and the budget of the one recipe that it names; `titles` by file."""
    for event in listener.inspections:
        file, verdict, budget_ms = RULES[event.origin.recipe]
        assert event.origin.model == titles[file]
        assert event.budget_ms == budget_ms
        assert event.verdict == (verdict if event.defects else "accept")


def titles_of(config: Config) -> dict[str, str]:
    """Return what events call the live model of each recipe's file."""
    endpoint, titles = config.control.endpoint, {}
    for name, file in (("loose", FP32), ("strict", INT8)):
        finish(config, Recipe(name))
        titles[file.stem] = ask(endpoint, Status()).live
    return titles


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_changes_under_load_lose_and_mix_no_frame(tmp_path: Path) -> None:
    config = line(tmp_path, RECIPES, cameras=2)
    with running(config) as (station, listener):
        titles = titles_of(config)
        for number in range(200):
            name = ("loose", "strict", "lenient", "loose", "default")[number % 5]
            assert ask(config.control.endpoint, Recipe(name)).active == name
    check_nothing_lost(station, listener)
    check_none_mixed(listener, titles)
    for camera in ("top", "bottom"):
        own = [event.origin.recipe for event in listener.inspections if event.camera == camera]
        assert len(list(groupby(own))) > 150  # between two changes there may be no frame of a camera


def test_frames_taken_before_a_change_are_judged_by_what_held_then(tmp_path: Path) -> None:
    config = line(tmp_path, RECIPES)
    asked: list[tuple[int, int, str]] = []
    with running(config) as (station, listener):
        for name in ("lenient", "default") * 20:
            before_ns = time.time_ns()
            ask(config.control.endpoint, Recipe(name))
            asked.append((before_ns, time.time_ns(), "" if name == "default" else name))
            seen = station.ledger.settled
            while station.ledger.settled < seen + 5:
                time.sleep(0.001)
    check_nothing_lost(station, listener)
    for (_, after_ns, recipe), (until_ns, _, _) in pairwise(asked):
        held = {one.origin.recipe for one in listener.inspections if after_ns <= one.captured_ns < until_ns}
        assert held == {recipe}


def test_a_part_that_changes_with_its_recipe_in_mid_stream(tmp_path: Path) -> None:
    config = line(tmp_path, RECIPES)
    endpoint = config.control.endpoint
    with running(config) as (station, listener):
        ask(endpoint, Job("4711"))
        for number in range(30):
            ask(endpoint, Part(f"P{number}"))
            if number % 3 == 0:
                ask(endpoint, Recipe(("lenient", "default")[number % 2]))
        ask(endpoint, Part(""))
    check_nothing_lost(station, listener)
    parts = [part for part, _ in groupby(event.part for event in listener.inspections)]
    numbers = [int(part[1:]) for part in parts if part]
    assert numbers == sorted(set(numbers))  # each at most once, in order
    assert parts[-1] == ""
    assert [job for job, _ in groupby(event.job for event in listener.inspections)][-1] == "4711"
    for event in listener.inspections:
        assert event.verdict == (RULES[event.origin.recipe][1] if event.defects else "accept")


LIMITS = {
    "dark": {"regions": {"polarity": "dark"}},
    "bright": {"regions": {"polarity": "bright"}},
    "large": {"regions": {"min_area_px": 101}},
    "faint": {"regions": {"offset_levels": 110.0}},
    "blunt": {"regions": {"noise_sigmas": [20.0, 1.0], "contrast": 0.9}},
    "dull": {"regions": {"dark_level": 130.0}},
}
SEEN = {"": "reject", "dark": "reject", "bright": "accept", "large": "accept", "faint": "accept", "blunt": "accept"}


def check_limits(listener: Listener) -> None:
    """Each event is judged by the limits of the recipe that it names: every tenth frame has a mark of 100 px."""
    for event in listener.inspections:
        if event.origin.recipe == "dull":
            assert (event.verdict, event.reason) == ("invalid", "dark")
        else:
            verdict = SEEN[event.origin.recipe] if event.sequence % 10 == 0 else "accept"
            assert (event.verdict, [defect.area_px for defect in event.defects]) == (
                verdict,
                [100] if verdict == "reject" else [],
            )


def test_two_hundred_changes_of_limits_mix_no_frame(tmp_path: Path) -> None:
    config = line(tmp_path, LIMITS, cameras=2, engine={"backend": "fake"})
    with running(config) as (_, listener):
        for number in range(200):
            name = [*LIMITS, "default"][number * 3 % 7]
            assert ask(config.control.endpoint, Recipe(name)).active == name
    check_limits(listener)
    for camera in ("top", "bottom"):
        own = [event for event in listener.inspections if event.camera == camera]
        assert [event.sequence for event in own] == list(range(1, len(own) + 1))
        assert {event.origin.recipe for event in own if event.sequence % 10 == 0} == {"", *LIMITS}


def save_limit(folder: Path, number: int, min_area_px: int, in_use: bool) -> str:
    """Keep a limit of camera top and return its SHA-256."""
    choice = Choice((5.0,), 1.0, 0.5, 2.0, 1.0)
    settings = LimitSettings.of(RegionsConfig(min_area_px=min_area_px), choice, "frame", flat_field=False)
    store = CalibrationStore(folder / "kept")
    binding, arrays = Binding(camera="", width_px=32, height_px=32), {"number": np.array(number)}
    return store.save("limit", "top", binding, {}, arrays, settings.model_dump(mode="json"), in_use=in_use).sha256


def test_a_recipe_with_a_calibrated_limit_of_its_own(tmp_path: Path) -> None:
    hashes = {"": save_limit(tmp_path, 1, 12, in_use=True), "large": save_limit(tmp_path, 2, 101, in_use=False)}
    config = line(
        tmp_path,
        {"large": {"limit": {"top": 2}}},
        engine={"backend": "fake"},
        calibration={"folder": str(tmp_path / "kept")},
    )
    with running(config) as (station, listener):
        for name in ("large", "default") * 10:
            ask(config.control.endpoint, Recipe(name))
            settled = station.ledger.settled
            while station.ledger.settled < settled + 20:
                time.sleep(0.001)
    check_nothing_lost(station, listener)
    check_limits(listener)
    ids = {event.origin.recipe: event.origin.calibration for event in listener.inspections}
    assert ids == {name: hashlib.sha256(sha256.encode()).hexdigest()[:12] for name, sha256 in hashes.items()}


@pytest.mark.slow
def test_a_recipe_is_prepared_selected_and_given_up(tmp_path: Path) -> None:
    config = line(tmp_path, RECIPES)
    endpoint = config.control.endpoint
    with running(config) as (station, listener):
        assert states(ask(endpoint, Recipes())) == {
            "default": "active",
            "strict": "prepared",
            "loose": "loaded",
            "lenient": "prepared",
        }
        first = ask(endpoint, Prepare("loose"))
        assert states(first)["loose"] == "preparing"
        assert ask(endpoint, Prepare(2)).job == first.job
        assert ask(endpoint, Recipe("lenient")).active == "lenient"  # what is ready need not wait
        done = finish(config, Recipes())
        assert (done.outcome, states(done)["loose"], done.active) == ("kept", "prepared", "lenient")
        assert "recipe loose is prepared" in done.report
        assert ask(endpoint, Recipe(2)).active == "loose"
        assert ask(endpoint, Recipe(2)).active == "loose"
        with pytest.raises(StationError, match="recipe loose: its model is in use"):
            ask(endpoint, Unprepare("loose"))
        assert ask(endpoint, Recipe("strict")).active == "strict"
        assert states(ask(endpoint, Unprepare("loose")))["loose"] == "loaded"
    check_nothing_lost(station, listener)
    changed = [(event.action, event.detail) for event in listener.messages if isinstance(event, ModelEvent)]
    assert changed[0] == ("building", "for recipe loose")
    assert [detail for action, detail in changed if action == "swapped"] == ["recipe loose", "recipe strict"]


@pytest.mark.slow
def test_what_was_swapped_in_stays_with_its_recipe(tmp_path: Path) -> None:
    config = line(
        tmp_path, RECIPES, {"shadow_crops": 5, "probation_frames": 5, "max_disagreement": 1.0, "max_late_share": 1.0}
    )
    endpoint = config.control.endpoint
    with running(config) as (station, listener):
        before = ask(endpoint, Status()).live
        ask(endpoint, Swap(str(FP32)))
        finish(config, Recipes())
        swapped = ask(endpoint, Status())
        assert (swapped.previous, swapped.outcome) == (before, "kept")
        assert ask(endpoint, Recipe("lenient")).active == "lenient"
        assert ask(endpoint, Status()).previous == before  # of the same file: the way back stays
        finish(config, Recipe("loose"))
        assert ask(endpoint, Status()).previous is None  # never the model of another recipe
        ask(endpoint, Rollback())
        assert finish(config, Recipes()).report == "there is no model to go back to"
        ask(endpoint, Recipe("strict"))
        assert ask(endpoint, Status()).live == swapped.live
    check_nothing_lost(station, listener)


def test_a_recipe_whose_model_fails_is_never_judged_by_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def classify(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if threading.current_thread().name == "inspect":
            raise EngineError("the GPU fell off the bus")
        return np.tile(np.float32([1, 0, 0, 0, 0, 0]), (len(crops), 1))

    def open_fake(plan: Plan, config: EngineConfig) -> Engine:
        return FakeEngine(LABELS, classify, plan.passport.card.crop).__enter__()

    monkeypatch.setattr(swapper, "open_plan", open_fake)
    config = line(tmp_path, RECIPES)
    with running(config) as (station, listener):
        assert finish(config, Recipe("loose")).active == "loose"
        account = station.ledger.accounts["top"]
        while not account.invalid.get("engine"):
            time.sleep(0.01)
        assert ask(config.control.endpoint, Recipe("strict")).active == "strict"
    loose = [event for event in listener.inspections if event.origin.recipe == "loose" and event.defects == ()]
    assert {(event.verdict, event.reason) for event in loose} == {("accept", ""), ("invalid", "engine")}
    assert not [event for event in listener.inspections if event.origin.recipe == "loose" and event.defects]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"a": {"verdict": {"rules": {"dent": {}}}}}, [r"[recipe.a] [verdict.rules] dent: not a label of the model"]),
        (
            {"a": {"model": "/none.onnx"}, "b": {"verdict": {"label_floors": {"dent": 0.5}}}},
            ["[recipe.a] ", "[recipe.b] "],
        ),
    ],
)
def test_recipes_that_can_not_be_used_end_the_start_with_a_line_each(
    tmp_path: Path, recipe: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as fault, Station(line(tmp_path, recipe)):
        pass
    lines = str(fault.value).splitlines()
    assert len(lines) == len(words)
    for line_, begin in zip(lines, words, strict=True):
        assert line_.startswith(begin)


def test_a_recipe_that_fails_leaves_the_one_in_force_and_says_why(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(FP32.read_bytes())
    config = line(tmp_path, {"bad": {"model": str(model)}, **RECIPES}, station={"recipe": "lenient"})
    with running(config) as (station, listener):
        model.write_bytes(b"no model any more")
        done = finish(config, Recipe("bad"))
        assert (done.active, done.outcome, states(done)["bad"]) == ("lenient", "refused", "failed")
        record = next(one for one in done.recipes if one.name == "bad")
        assert done.report == f"recipe bad: {record.detail}"
        assert "\n" not in record.detail
    check_nothing_lost(station, listener)
    assert {event.origin.recipe for event in listener.inspections} == {"lenient"}
    assert {beat.origin.recipe for beat in listener.heartbeats} == {"lenient"}


def test_a_reload_changes_the_recipe_in_force(tmp_path: Path) -> None:
    config = line(tmp_path, RECIPES)
    turned = line(tmp_path, RECIPES | {"lenient": LENIENT | {"verdict": {"default": {"action": "reject"}}}})
    with running(config) as (station, listener):
        ask(config.control.endpoint, Recipe("lenient"))
        assert station.reload(turned) == ["[recipe.lenient] verdict.default.action"]
        status = ask(config.control.endpoint, Recipes())
        assert status.active == "lenient"
        with pytest.raises(
            ConfigError, match=r"^\[recipe.lenient\]: it is in force: select another one before it goes$"
        ):
            station.reload(line(tmp_path, {"strict": STRICT, "loose": LOOSE}))
        with pytest.raises(ConfigError, match=r"\[engine\] model: a change of that needs a restart"):
            station.reload(line(tmp_path, RECIPES | {"lenient": LENIENT | {"model": str(FP32)}}))
        with pytest.raises(ConfigError, match=r"^\[recipe.new\] \[verdict.rules\] dent: not a label"):
            station.reload(line(tmp_path, RECIPES | {"new": {"verdict": {"rules": {"dent": {}}}}}))
        assert station.config is turned
    check_nothing_lost(station, listener)
    verdicts = {config.sha256[:12]: "accept", turned.sha256[:12]: "reject"}
    for event in listener.inspections:
        if event.origin.recipe == "lenient" and event.defects:
            assert event.verdict == verdicts[event.origin.config]


def test_a_reload_changes_limits_unless_a_calibrated_one_does_not_fit_them(tmp_path: Path) -> None:
    save_limit(tmp_path, 1, 12, in_use=True)
    tables: dict[str, Any] = {"engine": {"backend": "fake"}, "calibration": {"folder": str(tmp_path / "kept")}}
    config = line(tmp_path, {"small": {}}, **tables)
    turned = line(tmp_path, {"small": {"regions": {"min_area_px": 101}}}, **tables, station={"recipe": "small"})
    with running(config) as (station, listener):
        ask(config.control.endpoint, Recipe("small"))
        assert "[recipe.small] regions.min_area_px" in station.reload(turned)
        with pytest.raises(ConfigError, match=r"top limit 1 was chosen with contrast 0\.05, not 0\.1: run") as fault:
            station.reload(line(tmp_path, {"small": {}}, **tables, regions={"contrast": 0.1}))
        assert len(str(fault.value).splitlines()) == 2  # the plain tables, and the recipe that stands on them
        settled = station.ledger.settled
        while station.ledger.settled < settled + 20:
            time.sleep(0.001)
    for event in listener.inspections:
        wanted = event.sequence % 10 == 0 and event.origin.config == config.sha256[:12]
        assert event.verdict == ("reject" if wanted else "accept")
    assert listener.inspections[-1].origin.config == turned.sha256[:12]


TOML = """
[station]
recipe = "{recipe}"
[[camera]]
name = "top"
type = "simulated"
width_px = 256
height_px = 128
[engine]
backend = "fake"
[recipe.a]
[recipe.b]
[publish]
endpoint = "ipc://{folder}/events"
heartbeat_s = 0.05
[metrics]
port = 0
[control]
endpoint = "ipc://{folder}/control"
"""


def test_after_a_kill_the_configured_recipe_holds_again(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TOML.format(folder=tmp_path, recipe="a"))
    for _ in range(2):
        with listening(f"ipc://{tmp_path}/events") as listener, daemon(tmp_path) as process:
            while not isinstance(listener.hear(), InspectionEvent):
                pass
            assert ask(f"ipc://{tmp_path}/control", Recipes()).active == "a"
            assert ask(f"ipc://{tmp_path}/control", Recipe("b")).active == "b"
            os.kill(process.pid, signal.SIGKILL)


@contextmanager
def daemon(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "station", "run", "--config", str(folder / "config.toml")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
