"""The table of transitions is the standard's, and no way through it breaks the chain."""

import gzip
import xml.etree.ElementTree as ElementTree
from importlib.resources import files
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.gateways.opcua.states import TRANSITIONS, Cause, State, Transition, caused, climb, effects, inner, outer

_NAMES = {"ua": "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"}
INNERMOST = [state for state in State if state is not State.OPERATIONAL]


def _nodes() -> dict[str, ElementTree.Element]:
    packed = files("station.gateways.opcua") / "nodeset" / "Opc.Ua.MachineVision.NodeSet2.xml.gz"
    tree = ElementTree.fromstring(gzip.decompress(packed.read_bytes()))
    return {node.get("NodeId", ""): node for node in tree}


NODES = _nodes()


def _references(node: ElementTree.Element, kind: str) -> list[str]:
    found = [
        one.text or ""
        for one in node.iterfind("ua:References/ua:Reference", _NAMES)
        if one.get("ReferenceType") == kind
    ]
    return [NODES[id].get("BrowseName", "").removeprefix("1:") for id in found]


def _official() -> dict[str, tuple[int, str, str, list[str], set[str]]]:
    """Return number, states, causes and effects of each transition of the two machines in the NodeSet."""
    found = {}
    for node in NODES.values():
        start, end = _references(node, "FromState"), _references(node, "ToState")
        numbers = [child for child in NODES.values() if child.get("ParentNodeId") == node.get("NodeId")]
        numbers = [one for one in numbers if one.get("BrowseName") == "TransitionNumber"]
        machine = NODES.get(node.get("ParentNodeId", ""))
        if len(start) == 1 and len(end) == 1 and numbers and machine is not None:
            if "StepModel" in machine.get("BrowseName", ""):
                continue
            number = int("".join(numbers[0].find("ua:Value", _NAMES).itertext()))  # type: ignore[union-attr]
            events = {event.removesuffix("EventType") for event in _references(node, "HasEffect")}
            name = node.get("BrowseName", "").removeprefix("1:")
            found[name] = (number, start[0], end[0], _references(node, "HasCause"), events)
    return found


def test_the_table_is_that_of_the_nodeset() -> None:
    ours = {
        one.name: (one.number, one.start.title, one.end.title, [one.cause] if one.cause else []) for one in TRANSITIONS
    }
    assert ours == {name: entry[:4] for name, entry in _official().items()}
    assert len(ours) == 35


def test_the_effects_are_at_least_those_of_the_nodeset() -> None:
    official = _official()
    for one in TRANSITIONS:
        assert official[one.name][4] <= set(effects(one)), one.name


def _chain(state: State, steps: tuple[Transition, ...]) -> State:
    """Follow steps, each from where the one before has led; 151 goes along with 141, and 150 with 140."""
    for before, step in zip((None, *steps), steps, strict=False):
        beside = before is not None and step.number // 10 == 15 and before.number // 10 == 14
        assert beside or step.start in (state, outer(state)), (state, step)
        state = inner(step.end)
    return state


@given(st.sampled_from(INNERMOST), st.lists(st.sampled_from(get_args(Cause))))
def test_no_sequence_of_calls_breaks_the_chain(state: State, causes: list[Cause]) -> None:
    for cause in causes:
        steps = caused(state, cause)
        assert all(step.cause == cause for step in steps)
        state = _chain(state, steps)
        assert state in INNERMOST


@pytest.mark.parametrize("goal", INNERMOST, ids=lambda state: state.title)
@pytest.mark.parametrize("state", INNERMOST, ids=lambda state: state.title)
def test_the_system_finds_a_way_by_itself(state: State, goal: State) -> None:
    steps = climb(state, goal)
    assert all(step.cause is None for step in steps)
    assert _chain(state, steps) is goal


@pytest.mark.parametrize("state", INNERMOST, ids=lambda state: state.title)
def test_halt_and_reset_work_wherever_the_standard_has_them(state: State) -> None:
    assert bool(caused(state, "Halt")) is (state is not State.HALTED)
    assert bool(caused(state, "Reset")) is (state is not State.PREOPERATIONAL)
