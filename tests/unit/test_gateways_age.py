"""Ages of messages, over clocks that step or are an hour apart."""

from hypothesis import given
from hypothesis import strategies as st

from station.clock import ManualClock
from station.event import EngineRecord, Heartbeat, Origin
from station.gateways.age import Ages

HOUR_S = 3600.0


def beat(published_ns: int) -> Heartbeat:
    return Heartbeat(Origin("line", "run", "", ""), published_ns, 1.0, 0, {}, EngineRecord("fake", (), ""), {})


def test_an_age_is_what_has_passed() -> None:
    clock = ManualClock()
    ages, published_ns = Ages(clock), clock.utc_ns()
    clock.sleep(2.5)
    assert ages.seconds(published_ns) == 2.5
    assert ages.seconds(clock.utc_ns() + 10**9) == 0.0


@given(st.sampled_from([HOUR_S, -HOUR_S]), st.floats(0, 100), st.floats(0, 100))
def test_a_clock_that_steps_an_hour_changes_no_age(step_s: float, before_s: float, after_s: float) -> None:
    clock = ManualClock()
    ages, published_ns = Ages(clock), clock.utc_ns()
    clock.sleep(before_s)
    ages.look()
    clock.step_utc(step_s)
    ages.look()
    newer_ns = clock.utc_ns()
    clock.sleep(after_s)
    assert abs(ages.seconds(published_ns) - before_s - after_s) < 1e-3
    assert abs(ages.seconds(newer_ns) - after_s) < 1e-3


def test_slewing_is_no_step() -> None:
    clock = ManualClock()
    ages, published_ns = Ages(clock), clock.utc_ns()
    for _ in range(10):
        clock.step_utc(0.01)
        clock.sleep(1)
        ages.look()
    assert abs(ages.seconds(published_ns) - 10.1) < 1e-3


def test_a_station_whose_clock_is_an_hour_off_is_understood_from_its_heartbeat_on() -> None:
    clock = ManualClock()
    ages = Ages(clock)
    there_ns = clock.utc_ns() - round(HOUR_S * 1e9)
    assert ages.seconds(there_ns) == HOUR_S
    ages.hear(beat(there_ns))
    clock.sleep(3)
    assert ages.seconds(there_ns) == 3.0


def test_a_step_is_forgotten_when_no_message_can_be_from_before_it() -> None:
    clock = ManualClock()
    ages = Ages(clock)
    clock.step_utc(10)
    ages.look()
    clock.sleep(11)
    ages.look()
    published_ns = clock.utc_ns()
    clock.sleep(20)
    assert ages.seconds(published_ns) == 20.0
