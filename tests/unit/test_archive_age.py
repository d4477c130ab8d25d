from station.archive.age import AgeClock
from station.clock import ManualClock

HOUR_NS, YEAR_NS = 3600 * 10**9, 365 * 86_400 * 10**9


def test_it_follows_a_good_clock() -> None:
    clock = ManualClock()
    age = AgeClock(clock, 0)
    clock.sleep(100)
    assert age.now_ns() == clock.utc_ns()


def test_an_hour_is_caught_up_in_four() -> None:
    clock = ManualClock()
    age = AgeClock(clock, 0)
    clock.step_utc(3600)
    before = age.now_ns()
    assert before == clock.utc_ns() - HOUR_NS
    clock.sleep(2 * 3600)
    assert clock.utc_ns() - age.now_ns() == HOUR_NS // 2
    clock.sleep(2 * 3600)
    assert age.now_ns() == clock.utc_ns()


def test_years_are_not_believed() -> None:
    clock = ManualClock()
    age = AgeClock(clock, 0)
    start = age.now_ns()
    clock.step_utc(10 * 365 * 86_400)
    clock.sleep(24 * 3600)
    assert age.now_ns() - start == 30 * HOUR_NS


def test_it_never_goes_back_and_waits_for_a_clock_that_did() -> None:
    clock = ManualClock()
    age = AgeClock(clock, 0)
    start = age.now_ns()
    clock.step_utc(-3600)
    clock.sleep(1800)
    assert age.now_ns() == start
    clock.sleep(3600)
    assert age.now_ns() == start + HOUR_NS // 2


def test_after_a_start_with_a_clock_of_1970_it_goes_on_from_where_it_was() -> None:
    last_ns = ManualClock().utc_ns()
    clock = ManualClock(utc_ns=0)
    age = AgeClock(clock, last_ns)
    clock.sleep(60)
    assert age.now_ns() == last_ns
    clock.step_utc((last_ns + YEAR_NS) / 1e9)
    clock.sleep(60)
    assert age.now_ns() == last_ns + 75 * 10**9
