"""Triggers and commands of a PLC: each asked for once, answered, and over when both sides have let go."""

import pytest

from station.control_protocol import Coil, Part, Prepare, Recipe, Request
from station.gateways.base import Ask
from station.gateways.plc.area import Value
from station.gateways.plc.registers import CONTROL, ERRORS
from station.gateways.plc.requests import Requests

IDLE = CONTROL.unpack([0] * CONTROL.words)
ENABLED = IDLE | {"trigger_enable": 1}


def test_a_trigger_begins_a_part_once_and_is_acknowledged() -> None:
    requests = Requests()
    triggered: dict[str, Value] = ENABLED | {"trigger": 1, "part_id": "A 17"}
    assert requests.step(ENABLED, True, {}) == ()
    assert requests.values()["trigger_ready"]
    asks = requests.step(triggered, True, {})
    assert asks == (Ask(1, Part("A 17")),)
    assert requests.step(triggered, True, {}) == ()
    assert not requests.values()["trigger_ack"]
    assert requests.step(triggered, True, {1: ""}) == ()
    assert requests.values() | {"acquisition_id": 1, "trigger_ack": True} == requests.values()
    assert requests.step(ENABLED, True, {}) == ()
    assert not requests.values()["trigger_ack"]
    assert requests.step(triggered, True, {}) == (Ask(2, Part("A 17")),)


def test_a_part_without_a_name_is_called_by_its_acquisition() -> None:
    assert Requests().step(ENABLED | {"trigger": 1}, True, {}) == (Ask(1, Part("1")),)


@pytest.mark.parametrize(("control", "online"), [(IDLE, True), (ENABLED, False)])
def test_a_trigger_waits_until_it_is_ready(control: dict[str, Value], online: bool) -> None:
    requests = Requests()
    assert requests.step(control | {"trigger": 1}, online, {}) == ()
    assert not requests.values()["trigger_ready"]
    assert len(requests.step(ENABLED | {"trigger": 1}, True, {})) == 1


def test_what_the_station_refuses_is_told_until_it_is_cleared() -> None:
    requests = Requests()
    triggered = ENABLED | {"trigger": 1}
    requests.step(triggered, True, {})
    requests.step(triggered, True, {1: "no such part"})
    assert requests.values() | {"acquisition_error": True, "error_code": ERRORS["trigger_refused"]} == requests.values()
    requests.step(ENABLED, True, {})
    assert requests.values()["error"]
    requests.step(ENABLED | {"clear_error": 1}, True, {})
    assert not requests.values()["error"]


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        ({"command": 1, "job": 7}, Recipe(7)),
        ({"command": 2, "job": 7}, Prepare(7)),
        ({"command": 3, "coil_id": "C 4711"}, Coil("C 4711")),
        ({"command": 4}, Part("")),
    ],
)
def test_commands(command: dict[str, Value], request_: Request) -> None:
    requests = Requests()
    executed = IDLE | command | {"execute": 1}
    assert requests.step(executed, True, {}) == (Ask(1, request_),)
    assert requests.values()["command_busy"]
    assert requests.step(executed | {"job": 9}, True, {1: ""}) == ()
    assert requests.values()["command_done"]
    requests.step(IDLE, True, {})
    assert not requests.values()["command_done"]


@pytest.mark.parametrize("command", [{"command": 0}, {"command": 99}, {"command": 3, "coil_id": ""}])
def test_what_is_no_command_fails_at_once(command: dict[str, Value]) -> None:
    requests = Requests()
    assert requests.step(IDLE | command | {"execute": 1}, True, {}) == ()
    assert requests.values()["command_failed"]
    assert requests.values()["error_code"] == ERRORS["command_unknown"]


def test_a_job_may_change_in_mid_part_and_answers_find_their_question() -> None:
    requests = Requests()
    both = ENABLED | {"trigger": 1, "execute": 1, "command": 1, "job": 3}
    assert requests.step(both, True, {}) == (Ask(1, Part("1")), Ask(2, Recipe(3)))
    requests.step(both, True, {2: "it can't be prepared"})
    assert requests.values() | {"command_failed": True, "trigger_ack": False} == requests.values()
    requests.step(both, True, {1: ""})
    assert requests.values() | {"command_failed": True, "trigger_ack": True} == requests.values()


def test_a_new_session_asks_again_and_old_answers_are_not_taken_for_new_ones() -> None:
    requests = Requests()
    triggered = ENABLED | {"trigger": 1}
    requests.step(triggered, True, {})
    requests.begin()
    assert requests.step(triggered, True, {1: ""}) == (Ask(2, Part("2")),)
    assert not requests.values()["trigger_ack"]
