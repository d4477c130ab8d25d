"""The states of OPC 40100-1 and the transitions between them, in one table. Pure.

A transition's number tells its states: 671 goes from Ready (6) to SingleExecution (7). Those that end in 0 the system
makes by itself, all others have the method that causes them. Initialized to ContinuousExecution lie inside Operational.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

__all__ = ["TRANSITIONS", "Cause", "State", "Transition", "caused", "climb", "effects", "inner", "outer"]


class State(IntEnum):
    """A state, with its StateNumber."""

    PREOPERATIONAL = 1
    HALTED = 2
    ERROR = 3
    OPERATIONAL = 4
    INITIALIZED = 5
    READY = 6
    SINGLE_EXECUTION = 7
    CONTINUOUS_EXECUTION = 8

    @property
    def title(self) -> str:
        """As the standard writes it."""
        return self.name.title().replace("_", "")


Cause: TypeAlias = Literal[
    "Reset",
    "Halt",
    "SelectModeAutomatic",
    "PrepareRecipe",
    "PrepareProduct",
    "UnprepareRecipe",
    "UnprepareProduct",
    "StartSingleJob",
    "StartContinuous",
    "Stop",
    "Abort",
]


@dataclass(frozen=True, slots=True)
class Transition:
    """A step from `start` to `end`; by `cause`, or by the system itself."""

    number: int
    cause: Cause | None = None

    @property
    def start(self) -> State:
        return State(self.number // 100)

    @property
    def end(self) -> State:
        return State(self.number // 10 % 10)

    @property
    def name(self) -> str:
        """The BrowseName of the transition's node."""
        return f"{self.start.title}To{self.end.title}{_SUFFIX.get(self.number, '' if self.cause else 'Auto')}"


_SUFFIX = {
    **dict.fromkeys((561, 651), "Recipe"),
    **dict.fromkeys((562, 652), "Product"),
    **dict.fromkeys((761, 861), "Stop"),
    **dict.fromkeys((762, 862), "Abort"),
}

TRANSITIONS: tuple[Transition, ...] = (
    Transition(120),
    Transition(121, "Halt"),
    Transition(130),
    Transition(140),
    Transition(141, "SelectModeAutomatic"),
    Transition(150),
    Transition(151, "SelectModeAutomatic"),
    Transition(210),
    Transition(211, "Reset"),
    Transition(310),
    Transition(311, "Reset"),
    Transition(320),
    Transition(321, "Halt"),
    Transition(340),
    Transition(410),
    Transition(411, "Reset"),
    Transition(420),
    Transition(421, "Halt"),
    Transition(430),
    Transition(560),
    Transition(561, "PrepareRecipe"),
    Transition(562, "PrepareProduct"),
    Transition(650),
    Transition(651, "UnprepareRecipe"),
    Transition(652, "UnprepareProduct"),
    Transition(670),
    Transition(671, "StartSingleJob"),
    Transition(680),
    Transition(681, "StartContinuous"),
    Transition(760),
    Transition(761, "Stop"),
    Transition(762, "Abort"),
    Transition(860),
    Transition(861, "Stop"),
    Transition(862, "Abort"),
)
"""Tables 84 and 99 of the standard."""


def outer(state: State) -> State:
    """Return the state of the outer machine while `state` is the innermost one."""
    return State.OPERATIONAL if state > State.OPERATIONAL else state


def inner(state: State) -> State:
    """Return the innermost state after a transition to `state`: Operational is entered at Initialized."""
    return State.INITIALIZED if state is State.OPERATIONAL else state


def caused(state: State, cause: Cause) -> tuple[Transition, ...]:
    """Return what the method `cause` does in `state`, in order; nothing where it has no effect there."""
    return tuple(one for one in TRANSITIONS if one.cause == cause and one.start in (state, outer(state)))


def climb(state: State, goal: State) -> tuple[Transition, ...]:
    """Return the shortest way on which the system goes by itself to the innermost state `goal`; empty without any."""
    ways: deque[tuple[State, tuple[Transition, ...]]] = deque([(state, ())])
    seen = {state}
    while ways:
        at, way = ways.popleft()
        if at is goal:
            return way
        for one in TRANSITIONS:
            if one.cause is None and one.start in (at, outer(at)) and inner(one.end) not in seen:
                seen.add(inner(one.end))
                ways.append((inner(one.end), (*way, one, *_entering(at, one))))
    return ()


def effects(step: Transition) -> tuple[str, ...]:
    """Return the events that a transition has as its effects, without their ending `EventType`."""
    found = ["StateChanged"]
    if step.end is State.ERROR:
        found.append("Error")
    if step.start is State.ERROR and step.cause is None:
        found.append("ErrorResolved")
    if step.cause in ("PrepareRecipe", "PrepareProduct"):
        found.append("RecipePrepared")
    if step.end in (State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION):
        found.append("JobStarted")
    if step.start in (State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION):
        found.append("Ready")
    return tuple(found)


def _entering(state: State, one: Transition) -> tuple[Transition, ...]:
    """Return the step into Initialized that the table has beside `one`: only from Preoperational."""
    beside = State.OPERATIONAL if one.end is State.OPERATIONAL else None
    return tuple(step for step in TRANSITIONS if beside and step.number == state * 100 + State.INITIALIZED * 10)
