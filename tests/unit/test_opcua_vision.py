"""What clients and the station do to the vision system, and whose job a result is."""

from collections.abc import Callable
from itertools import count
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from station.gateways.opcua.states import Cause, State
from station.gateways.opcua.vision import Names, Vision


def _names() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"job{next(numbers)}"


def _ready() -> Vision:
    vision = Vision(State.READY, _names())
    vision.hear("", 0)
    assert vision.state is State.READY
    return vision


def test_it_goes_to_continuous_execution_by_itself_and_takes_what_waited() -> None:
    vision = Vision(State.CONTINUOUS_EXECUTION, _names())
    assert [step.number for step in vision.hear("", 1000)] == [140, 150, 560, 680]
    assert (job := vision.claim(5)) is not None
    assert job.id == "job1"


def test_after_an_error_it_is_back_where_it_was() -> None:
    vision = Vision(State.CONTINUOUS_EXECUTION, _names())
    vision.hear("", 0)
    assert [step.number for step in vision.hear("silent", 10)] == [430]
    assert vision.claim(20) is not None, "what still comes belongs to the job"
    assert [step.number for step in vision.hear("", 30)] == [340, 560, 680]
    assert vision.job is not None
    assert vision.job.id == "job2"


def test_an_error_ends_a_single_job() -> None:
    vision = _ready()
    vision.call("StartSingleJob", 10)
    vision.hear("silent", 20)
    vision.hear("", 30)
    assert vision.state is State.READY


def test_a_client_that_resets_in_an_error_decides_where_it_goes_on() -> None:
    vision = Vision(State.CONTINUOUS_EXECUTION, _names())
    vision.hear("", 0)
    vision.hear("silent", 1)
    assert [step.number for step in vision.call("Reset", 2)] == [311]
    assert [step.number for step in vision.hear("silent", 3)] == [130], "the error is still there"
    assert [step.number for step in vision.hear("", 4)] == [310]
    assert vision.state is State.PREOPERATIONAL


def test_a_halted_system_stays_halted_whatever_the_station_does() -> None:
    vision = _ready()
    vision.call("Halt", 1)
    assert vision.hear("silent", 2) == vision.hear("", 3) == ()
    assert vision.state is State.HALTED


def test_stop_leaves_what_was_captured_before_and_abort_leaves_nothing() -> None:
    vision = _ready()
    vision.call("StartContinuous", 100)
    vision.call("Stop", 200)
    assert vision.claim(99) is None
    assert (job := vision.claim(200)) is not None
    assert job.id == "job1"
    assert vision.claim(201) is None
    vision.call("StartContinuous", 300)
    assert (late := vision.claim(150)) is not None
    assert late.id == "job1", "still the first job's"
    vision.call("Abort", 400)
    assert vision.claim(350) is None


def test_a_single_job_takes_the_first_picture_after_its_start() -> None:
    vision = _ready()
    vision.call("StartSingleJob", 100, Names(part="P1"))
    assert vision.claim(99) is None
    assert (job := vision.claim(100)) is not None
    assert job.names.part == "P1"
    assert [step.number for step in vision.finish_single(110)] == [760]
    assert vision.finish_single(120) == ()
    assert vision.claim(105) is None, "one picture, one result"


@given(st.lists(st.one_of(st.sampled_from(get_args(Cause)), st.sampled_from(["fault", "well", "result"])), max_size=40))
def test_whatever_happens_a_job_runs_just_while_it_executes(steps: list[str]) -> None:
    vision = Vision(State.CONTINUOUS_EXECUTION, _names())
    for now, step in enumerate(steps):
        match step:
            case "fault" | "well":
                vision.hear("broken" if step == "fault" else "", now)
                assert (vision.state is State.ERROR) <= (step == "fault")
            case "result":
                vision.finish_single(now)
            case _:
                vision.call(step, now)  # type: ignore[arg-type]
        executing = vision.state in (State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION)
        assert (vision.job is not None) is executing
        assert vision.state is not State.OPERATIONAL
