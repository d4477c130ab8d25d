"""The methods that drive the state machine. Server's thread."""

import logging
from collections.abc import Callable
from typing import Any

from asyncua import ua

from station.control_protocol import Part
from station.gateways.opcua.address_space import Space
from station.gateways.opcua.arguments import Error, checked, id_of, outcome
from station.gateways.opcua.asking import Asking
from station.gateways.opcua.conditions import Conditions
from station.gateways.opcua.events import structure
from station.gateways.opcua.machine import Machine
from station.gateways.opcua.recipes import Recipes
from station.gateways.opcua.states import Cause, State
from station.gateways.opcua.vision import Names

__all__ = ["Control"]

logger = logging.getLogger(__name__)

_OUTER = "VisionStateMachine"
_INNER = f"{_OUTER}.AutomaticModeStateMachine"


class Control:
    """Halt, Reset, SelectModeAutomatic, ConfirmAll; StartSingleJob, StartContinuous, Stop, Abort, SimulationMode."""

    def __init__(
        self,
        machine: Machine,
        conditions: Conditions,
        recipes: Recipes,
        asking: Asking,
        now_ns: Callable[[], int],
    ) -> None:
        """`now_ns` is the station's UTC."""
        self._machine, self._conditions, self._recipes = machine, conditions, recipes
        self._asking, self._now_ns = asking, now_ns

    def link(self, space: Space) -> None:
        """Put the methods behind their nodes."""
        caused: tuple[tuple[str, Cause], ...] = (
            (_OUTER, "Halt"),
            (_OUTER, "Reset"),
            (_INNER, "Stop"),
            (_INNER, "Abort"),
        )
        methods = {f"{place}.{cause}": checked(self._with_reason(cause), int, str) for place, cause in caused}
        methods |= {
            f"{_OUTER}.SelectModeAutomatic": checked(self._select_automatic),
            f"{_OUTER}.ConfirmAll": checked(self._confirm_all, None),
            f"{_INNER}.StartSingleJob": checked(self._starting("StartSingleJob"), None, None, None, None, None),
            f"{_INNER}.StartContinuous": checked(self._starting("StartContinuous"), None, None, None, None, None),
            f"{_INNER}.SimulationMode": checked(self._simulate, bool, int, str),
        }
        for path, handler in methods.items():
            space.server.link_method(space.server.get_node(space.node(path)), handler)

    def _with_reason(self, cause: Cause) -> Any:
        async def call(number: int, words: str | None) -> list[ua.Variant]:
            if number or words:
                logger.info("%s for reason %d: %r", cause, number, words or "")
            return outcome(await self._move(cause))

        return call

    async def _select_automatic(self) -> list[ua.Variant]:
        return outcome(await self._move("SelectModeAutomatic"))

    async def _confirm_all(self, comment: Any) -> list[ua.Variant]:
        words = comment.Text if isinstance(comment, ua.LocalizedText) else ""
        await self._conditions.confirm_all((words or "")[:200])
        return []

    async def _simulate(self, activate: bool, number: int, words: str | None) -> list[ua.Variant]:
        if self._machine.vision.state not in (State.INITIALIZED, State.READY):
            return outcome(Error.STATE)
        self._machine.vision.simulated = activate
        return outcome(Error.OK)

    def _starting(self, cause: Cause) -> Any:
        async def call(*values: Any) -> list[ua.Variant]:
            error = await self._start(cause, [id_of(value) for value in values[:4]])
            job = self._machine.vision.job if error is Error.OK else None
            return outcome(error, structure(ua.JobIdDataType(Id=job.id if job else "")))

        return call

    async def _start(self, cause: Cause, ids: list[str | None]) -> Error:
        """Begin a job: first the station learns its part, so that pictures taken from then on carry it."""
        if self._machine.vision.state is not State.READY:
            return Error.STATE
        texts = [id for id in ids if id is not None]
        if len(texts) < len(ids):
            return Error.ARGUMENT
        names = Names(*texts)
        if not self._recipes.holds(names.recipe, names.product):
            return Error.UNKNOWN
        if names.part and (refused := await self._asking.ask(Part(names.part))) is not Error.OK:
            return refused
        return await self._move(cause, names)

    async def _move(self, cause: Cause, names: Names | None = None) -> Error:
        return Error.OK if await self._machine.call(cause, self._now_ns(), names) else Error.STATE
