"""Logins and requests are rationed by name and by address, and come back with time."""

from station.console.limits import Limits


class Clock:
    tick_ns = 1

    def __call__(self) -> int:
        return self.tick_ns


def test_a_name_can_be_tried_only_so_often() -> None:
    clock = Clock()
    limits = Limits(6, 100, clock)
    assert [limits.may_try("anna", f"10.0.0.{number}") for number in range(8)] == [True] * 6 + [False] * 2
    assert not limits.may_try(" ANNA ", "10.0.1.1")
    assert limits.may_try("ben", "10.0.1.1")
    clock.tick_ns += 10_000_000_000
    assert limits.may_try("anna", "10.0.1.1")
    assert not limits.may_try("anna", "10.0.1.1")


def test_an_address_can_try_only_so_many_names() -> None:
    limits = Limits(2, 100, Clock())
    assert [limits.may_try(f"name{number}", "10.0.0.1") for number in range(8)] == [True] * 6 + [False] * 2
    assert limits.may_try("name9", "10.0.0.2")


def test_an_address_can_ask_only_so_much() -> None:
    limits = Limits(2, 5, Clock())
    assert [limits.may_ask("10.0.0.1") for _ in range(12)] == [True] * 10 + [False] * 2
    assert limits.may_ask("10.0.0.2")
