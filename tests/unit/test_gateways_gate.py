"""What the reject output says, against what was accepted in time."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from station.gateways.gate import RejectGate, Stretch


def gate(before: float = 0.0, after: float = 0.0, cameras: tuple[str, ...] = ("top",)) -> RejectGate:
    return RejectGate(cameras, 1000.0, before, after)


def test_nothing_passes_that_nobody_accepted() -> None:
    assert gate().rejects(0.0)
    assert gate().rejects(1e6)


def test_an_accepted_stretch_passes_at_the_gate_and_nowhere_else() -> None:
    one = gate()
    assert one.tell("top", Stretch(0, 100, accepted=True), here=120)
    assert [one.rejects(here) for here in (999, 1000, 1050, 1099, 1100)] == [True, False, False, False, True]


def test_a_rejected_stretch_among_accepted_ones_is_rejected_early_and_long() -> None:
    one = gate(before=10, after=20)
    for start in range(0, 500, 100):
        assert one.tell("top", Stretch(start, start + 100, accepted=start != 200), here=500)
    expected = {1189: False, 1190: True, 1200: True, 1299: True, 1319: True, 1321: False, 1380: False}
    assert {here: one.rejects(here) for here in expected} == expected


def test_a_late_accept_is_counted_and_never_used_not_for_its_own_part_and_not_for_another() -> None:
    one = gate()
    assert not one.tell("top", Stretch(0, 100, accepted=True), here=1000)
    assert one.late == 1
    assert all(one.rejects(here) for here in range(1000, 1300, 10))


def test_overlapping_pictures_must_both_accept() -> None:
    one = gate()
    one.tell("top", Stretch(0, 100, accepted=True), here=200)
    one.tell("top", Stretch(80, 180, accepted=False), here=200)
    assert [one.rejects(here) for here in (1050, 1085, 1150)] == [False, True, True]


def test_every_camera_must_accept() -> None:
    one = gate(cameras=("top", "bottom"))
    one.tell("top", Stretch(0, 100, accepted=True), here=200)
    assert one.rejects(1050)
    one.tell("bottom", Stretch(0, 100, accepted=True), here=200)
    assert not one.rejects(1050)


def test_cameras_that_are_not_asked_do_not_count() -> None:
    one = gate()
    one.tell("other", Stretch(0, 100, accepted=True), here=200)
    assert one.rejects(1050)


def test_what_is_forgotten_is_rejected() -> None:
    one = gate()
    one.tell("top", Stretch(0, 100, accepted=True), here=200)
    one.clear()
    assert one.rejects(1050)


@dataclass(frozen=True)
class Told:
    """A verdict of the part from `number` × 10 on, told when the way was so far."""

    number: int
    accepted: bool
    here: int


TOLD = st.builds(Told, st.integers(0, 12), st.booleans(), st.integers(0, 1200))


@given(st.lists(TOLD, max_size=25), st.integers(0, 15), st.integers(0, 15))
def test_the_output_passes_only_what_was_accepted_in_time_and_by_nobody_rejected(
    told: list[Told], before: int, after: int
) -> None:
    one = gate(before, after)
    here = 0
    waiting = sorted(told, key=lambda each: each.here)
    heard: list[tuple[Told, bool]] = []
    for here in range(0, 1300, 5):
        while waiting and waiting[0].here <= here:
            each = waiting.pop(0)
            start = each.number * 10
            in_time = one.tell("top", Stretch(start, start + 10, each.accepted), here)
            assert in_time == (start - before > here - 1000)
            heard.append((each, in_time))
        if not one.rejects(here):
            low, high = here - 1000 - after, here - 1000 + before
            for part in range(low // 10, high // 10 + 1):
                of_part = [(each.accepted, in_time) for each, in_time in heard if each.number == part]
                assert of_part, f"part {part} was let pass unseen"
                assert all(accepted and in_time for accepted, in_time in of_part)
    assert one.late == sum(not in_time for _, in_time in heard)
