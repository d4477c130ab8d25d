"""Plain variables for clients that only want a value: the last verdict, counters, states. Server's thread."""

from collections import Counter
from typing import Any, Final

from asyncua import ua

from station.event import InspectionEvent
from station.gateways.base import View
from station.gateways.opcua.address_space import Space

__all__ = ["Live"]

_TEXT, _FLAG, _COUNT = ua.VariantType.String, ua.VariantType.Boolean, ua.VariantType.UInt64
_VARIABLES: Final[dict[str, Any]] = {
    "LastVerdict": _TEXT,
    "LastReason": _TEXT,
    "LastCamera": _TEXT,
    "LastSequence": _COUNT,
    "LastEvent": _COUNT,
    "Accepted": _COUNT,
    "Rejected": _COUNT,
    "Invalid": _COUNT,
    "LineOnline": _FLAG,
    "Reject": _FLAG,
    "ActiveRecipe": _TEXT,
    "GatewayState": _TEXT,
    "Waiting": _COUNT,
    "Expired": _COUNT,
    "Lost": _COUNT,
    "Late": _COUNT,
}
_AT_FIRST = {_TEXT: "", _FLAG: False, _COUNT: 0}
_COUNTED = {"accept": "Accepted", "reject": "Rejected", "invalid": "Invalid"}
_MOST_CAMERAS = 64


class Live:
    """Writes a variable when its value changes."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._shown: dict[str, Any] = {name: _AT_FIRST[kind] for name, kind in _VARIABLES.items()} | {"Reject": True}
        self._counts: Counter[str] = Counter()
        self._cameras: dict[str, str] = {}

    async def prepare(self) -> None:
        """Make the variables; until something is heard the output says reject."""
        folder = await self._space.system.add_folder(self._space.node("Live"), self._name("Live"))
        for name, kind in _VARIABLES.items():
            await folder.add_variable(self._space.node(f"Live.{name}"), self._name(name), self._shown[name], kind)
        await folder.add_folder(self._space.node("Live.Cameras"), self._name("Cameras"))

    async def take(self, event: InspectionEvent) -> None:
        """Show a result."""
        counter = _COUNTED[event.verdict]
        self._counts[counter] += 1
        await self._show(
            LastVerdict=event.verdict,
            LastReason=event.reason,
            LastCamera=event.camera,
            LastSequence=event.sequence,
            LastEvent=event.event,
            **{counter: self._counts[counter]},
        )

    async def look(self, view: View) -> None:
        """Show what the gateway knows."""
        recipe = (view.beat.origin.recipe or "default") if view.beat else ""
        await self._show(
            LineOnline=view.online,
            Reject=view.reject or not view.online,
            ActiveRecipe=recipe,
            GatewayState=view.state,
            Waiting=view.waiting,
            Expired=view.expired,
            Lost=view.lost,
            Late=view.late,
        )

    async def camera(self, name: str, state: str) -> None:
        """Show a camera's state."""
        node = self._space.node(f"Live.Cameras.{name}")
        if name not in self._cameras:
            if len(self._cameras) >= _MOST_CAMERAS:
                return
            folder = self._space.server.get_node(self._space.node("Live.Cameras"))
            await folder.add_variable(node, self._name(name), state, _TEXT)
        elif self._cameras[name] != state:
            await self._space.write(node, ua.Variant(state, _TEXT))
        self._cameras[name] = state

    async def _show(self, **values: Any) -> None:
        for name, value in values.items():
            if self._shown[name] != value:
                self._shown[name] = value
                await self._space.write(self._space.node(f"Live.{name}"), ua.Variant(value, _VARIABLES[name]))

    def _name(self, name: str) -> ua.QualifiedName:
        return ua.QualifiedName(name, self._space.own)
