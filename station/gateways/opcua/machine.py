"""The state machine as clients see it: nodes and events follow what `Vision` says. Server's thread."""

import logging

from asyncua import ua

from station.gateways.opcua.address_space import Space
from station.gateways.opcua.events import Events, text
from station.gateways.opcua.states import Cause, State, Transition, inner, outer
from station.gateways.opcua.vision import Job, Names, Vision

__all__ = ["Machine"]

logger = logging.getLogger(__name__)

_OUTER = "VisionStateMachine.CurrentState"
_INNER = "VisionStateMachine.AutomaticModeStateMachine.CurrentState"
_SYSTEM_STATES = {
    State.SINGLE_EXECUTION: (1, "PRD_1"),
    State.CONTINUOUS_EXECUTION: (1, "PRD_1"),
    State.ERROR: (5, "UDT_5"),
    State.HALTED: (6, "NST_6"),
}
_STANDS_BY = (2, "SBY_2")


class Machine:
    """Moves the vision system, and shows and tells each step."""

    def __init__(self, space: Space, events: Events, vision: Vision) -> None:
        self._space, self._events = space, events
        self.vision = vision

    async def prepare(self) -> None:
        """Show the state before anything happened."""
        await self._show(self.vision.state)

    async def call(self, cause: Cause, now_ns: int, names: Names | None = None) -> bool:
        """Do what a client's method causes; whether it has a place in this state."""
        before = self.vision.job
        steps = self.vision.call(cause, now_ns, names)
        if steps:
            logger.info("a client calls %s: %s", cause, self.vision.state.title)
        await self._tell(steps, before)
        return bool(steps)

    async def hear(self, fault: str, now_ns: int) -> None:
        """Learn why the station can't work, or that it can."""
        before = self.vision.job
        steps = self.vision.hear(fault, now_ns)
        if steps:
            logger.info("the station %s: %s", fault or "works", self.vision.state.title)
        await self._tell(steps, before)

    async def finish_single(self, now_ns: int) -> None:
        """End a single job, whose result was told."""
        before = self.vision.job
        await self._tell(self.vision.finish_single(now_ns), before)

    async def _tell(self, steps: tuple[Transition, ...], before: Job | None) -> None:
        for step in steps:
            await self._show(inner(step.end))
            job = self.vision.job if inner(step.end) is self.vision.state and self.vision.job else before
            await self._events.moved(step, job, self.vision.fault if step.end is State.ERROR else "")

    async def _show(self, state: State) -> None:
        await self._show_at(_OUTER, outer(state), active=True)
        await self._show_at(_INNER, state, active=outer(state) is State.OPERATIONAL)
        number, word = _SYSTEM_STATES.get(state, _STANDS_BY)
        described = ua.SystemStateDescriptionDataType(State=ua.SystemStateDataType(number), StateDescription=word)
        await self._space.write(self._space.node("SystemState"), ua.Variant(described))

    async def _show_at(self, path: str, state: State, active: bool) -> None:
        """Show a machine's state; one that is not active has none."""
        status = ua.StatusCodes.Good if active else ua.StatusCodes.BadStateNotActive
        node = self._space.states[state.title] if active else ua.NodeId()
        await self._space.write(self._space.node(path), text(state.title if active else ""), status)
        await self._space.write(self._space.node(f"{path}.Id"), ua.Variant(node, ua.VariantType.NodeId), status)
