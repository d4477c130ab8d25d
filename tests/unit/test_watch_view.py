import msgspec
import pytest
from rich.console import Console

from station.event import (
    CameraLedger,
    CameraState,
    DefectRecord,
    EngineRecord,
    Heartbeat,
    InspectionEvent,
    ModelAction,
    ModelEvent,
    Origin,
    StageTimes,
    StateEvent,
)
from station.watch_view import View, describe

ORIGIN = Origin("line", "run1", "model 0123", "cfg")
TIMES = StageTimes(1, 2, 3, 4, 5)
DEFECT = DefectRecord("scratches", 0.97, (1024, 500, 300, 40), 900, 31.0)


def event(number: int, verdict: str = "accept", *defects: DefectRecord, origin: Origin = ORIGIN) -> InspectionEvent:
    reason = "scratches" if defects else ""
    return InspectionEvent(
        number,
        origin,
        "top",
        number,
        0,
        "host",
        0,
        verdict,
        reason,
        False,
        20.0,
        1.25,
        (2048, 1000),
        defects,
        TIMES,  # type: ignore[arg-type]
    )


def heartbeat(state: CameraState = "online") -> Heartbeat:
    account = CameraLedger(10, 8, {"lost": 2}, 1, state)
    return Heartbeat(ORIGIN, 0, 1.0, 3, {"top": account}, EngineRecord("onnx CPU", ("a",), ""), {"outbox: full": 4})


def model_event(action: ModelAction, detail: str, number: int = 1) -> ModelEvent:
    return ModelEvent(number, ORIGIN, action, "other 4567", detail, 0, 0)


def drawn(view: View, now_s: float = 1.0) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(view.draw(now_s, 120))
    return capture.get()


def test_before_the_first_heartbeat_it_says_what_silence_means() -> None:
    assert "silence means reject" in drawn(View())


def test_shows_ledger_verdicts_the_sketch_and_what_was_dropped() -> None:
    view = View()
    view.take(heartbeat(), 0.0)
    view.take(event(1), 0.5)
    view.take(event(2, "reject", DEFECT), 0.6)
    text = drawn(view)
    for word in (
        "online",
        "lost 2",
        "10.0",
        "1.25 / 1.25",
        "██",
        "scratches",
        "300×40 at 1024,500",
        "4 messages dropped",
    ):
        assert word in text
    row = next(line for line in text.splitlines() if "scratches▒" in line)
    assert row.index("scratches") > len(row) * 0.35, "the sketch puts the region where it lies"


def test_a_heart_that_stops_is_shown_in_so_many_words() -> None:
    view = View()
    view.take(heartbeat(), 0.0)
    assert "treat every part as reject" not in drawn(view, 2.0)
    assert "treat every part as reject" in drawn(view, 4.0)


def test_counts_what_it_missed_but_not_over_a_restart() -> None:
    view = View()
    view.take(event(1), 0)
    view.take(event(5), 0)
    assert view.missed == 3
    view.take(event(1, origin=Origin("line", "run2", "", "")), 0)
    assert view.missed == 0
    view.take(event(20, origin=Origin("line", "run3", "", "")), 0)
    assert view.missed == 0, "with a journal numbers go on, behind those that the last run had given out"


@pytest.mark.parametrize(
    ("action", "words"), [("shadowing", "model shadowing: 12 crops"), ("rolled_back", "model rolled back: 12 crops")]
)
def test_the_last_change_of_the_model_is_shown(action: ModelAction, words: str) -> None:
    view = View()
    view.take(heartbeat(), 0.0)
    assert "model shadowing" not in drawn(view)
    view.take(model_event("building", "a.onnx"), 0.0)
    view.take(model_event(action, "12 crops", 2), 0.0)
    text = drawn(view)
    assert words in text
    assert "building" not in text
    assert view.missed == 0


def test_changes_of_the_model_are_counted_like_other_messages() -> None:
    view = View()
    view.take(event(1), 0.0)
    view.take(model_event("swapped", "", 4), 0.0)
    assert view.missed == 2


def test_a_line_a_message() -> None:
    assert describe(model_event("refused", "too many flips", 9)) == "9 model refused other 4567  too many flips"
    assert describe(model_event("kept", "", 9)) == "9 model kept other 4567"
    assert describe(event(7, "reject", DEFECT)) == "7 top #7 reject 1.25 ms  scratches 0.97"
    assert describe(StateEvent(3, ORIGIN, "top", "offline", "gone", 0, 0)) == "3 top offline  gone"
    assert describe(heartbeat()) == "heartbeat  top online announced 10 inspected 8 invalid 2"


def test_recipe_job_and_part_are_shown_where_there_are_some() -> None:
    view = View()
    view.take(heartbeat(), 0.0)
    view.take(event(1), 0.0)
    assert "recipe" not in drawn(view)
    origin = msgspec.structs.replace(ORIGIN, recipe="thick")
    view.take(msgspec.structs.replace(heartbeat(), origin=origin), 0.0)
    view.take(msgspec.structs.replace(event(2), part="A17", job="4711"), 0.0)
    assert "recipe thick  job 4711  part A17" in drawn(view)
    assert describe(msgspec.structs.replace(event(3), part="A17")) == "3 top #3 accept 1.25 ms part A17"
