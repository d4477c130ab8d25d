"""Conditions: what is wrong with cameras and services, until well, acknowledged and confirmed. Server's thread."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from asyncua import Node, ua

from station.gateways.opcua.address_space import Space
from station.gateways.opcua.events import CONDITIONS, Events, text

__all__ = ["Conditions", "Kind"]

Kind: TypeAlias = Literal["warning", "error", "persistent"]
"""As the standard has them: worth to know, in the way, or only to be mended by people."""

_SEVERITY = {"warning": 400, "error": 700, "persistent": 900}
_WELL = 100
_MOST = 200
_REMEMBERED = 8
_NO_BYTES = ua.StatusCode(ua.StatusCodes.BadInvalidArgument)


@dataclass(slots=True)
class _Condition:
    node: Node
    source: str
    kind: Kind
    active: bool = False
    acked: bool = True
    confirmed: bool = True
    message: str = ""
    comment: str = ""
    stops: bool = False
    ids: deque[bytes] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Of its last events: what a client acknowledges is one of them."""

    @property
    def retained(self) -> bool:
        return self.active or not (self.acked and self.confirmed)


class Conditions:
    """One condition for each source and kind that was ever in trouble; bounded, the names are the station's."""

    def __init__(self, space: Space, events: Events) -> None:
        self._space, self._events = space, events
        self._known: dict[tuple[str, Kind], _Condition] = {}

    async def prepare(self) -> None:
        """Let clients acknowledge and confirm: by the method of the type, with the condition as the object."""
        server = self._space.server
        methods = (
            (ua.ObjectIds.AcknowledgeableConditionType_Acknowledge, self._acknowledge),
            (ua.ObjectIds.AcknowledgeableConditionType_Confirm, self._confirm),
        )
        for number, handler in methods:
            server.link_method(server.get_node(ua.NodeId(number)), handler)

    async def show(self, source: str, kind: Kind | None, message: str, stops: bool = False) -> None:
        """Let `source` be in the condition `kind`, and in no other; None is well. `stops`: nothing goes on."""
        for (name, other), condition in self._known.items():
            if name == source and other != kind and condition.active:
                condition.active, condition.message = False, message
                await self._tell(condition)
        if kind is None:
            return
        known = await self._get(source, kind)
        if known is not None and (not known.active or known.message != message):
            known.acked, known.confirmed = False, kind == "warning"
            known.active, known.message, known.stops = True, message, stops
            await self._tell(known)

    async def tell(self, source: str, kind: Kind, message: str) -> None:
        """Tell of what failed and does not go on: over at once, kept until it is acknowledged."""
        await self.show(source, kind, message)
        await self.show(source, None, message)

    async def confirm_all(self, comment: str) -> None:
        """Acknowledge and confirm whatever is told."""
        for condition in self._known.values():
            if not (condition.acked and condition.confirmed):
                condition.acked, condition.confirmed, condition.comment = True, True, comment
                await self._tell(condition)

    async def _get(self, source: str, kind: Kind) -> _Condition | None:
        if (source, kind) in self._known:
            return self._known[source, kind]
        if len(self._known) >= _MOST:
            return None
        name = f"{source}-{kind}"
        place = self._space.node(f"Conditions.{name}")
        types = self._space.type(CONDITIONS[kind])
        browse = ua.QualifiedName(name, self._space.own)
        node = await self._space.system.add_object(place, browse, types, instantiate_optional=True)
        for method, handler in (("Acknowledge", self._acknowledge), ("Confirm", self._confirm)):
            instance = self._space.node(f"Conditions.{name}.{method}")
            self._space.server.link_method(self._space.server.get_node(instance), handler)
        return self._known.setdefault((source, kind), _Condition(node, source, kind))

    async def _tell(self, one: _Condition) -> None:
        severity = _SEVERITY[one.kind] if one.active else _WELL
        fields = {
            "NodeId": ua.Variant(one.node.nodeid, ua.VariantType.NodeId),
            "ConditionName": ua.Variant(one.source, ua.VariantType.String),
            "ConditionClassId": ua.Variant(ua.NodeId(ua.ObjectIds.SystemConditionClassType)),
            "ConditionClassName": text("SystemConditionClass"),
            "BranchId": ua.Variant(ua.NodeId(), ua.VariantType.NodeId),
            "Retain": ua.Variant(one.retained, ua.VariantType.Boolean),
            "Quality": ua.Variant(ua.StatusCode(), ua.VariantType.StatusCode),
            "LastSeverity": ua.Variant(severity, ua.VariantType.UInt16),
            "Comment": text(one.comment),
            "ClientUserId": ua.Variant("", ua.VariantType.String),
            "CausePath": ua.Variant(one.source, ua.VariantType.String),
            "StopReaction": ua.Variant(one.stops, ua.VariantType.Boolean),
            "BlockReaction": ua.Variant(one.kind == "persistent", ua.VariantType.Boolean),
            **_two_states("EnabledState", True, "Enabled", "Disabled"),
            **_two_states("AckedState", one.acked, "Acknowledged", "Unacknowledged"),
            **_two_states("ConfirmedState", one.confirmed, "Confirmed", "Unconfirmed"),
        }
        source = f"Conditions.{one.source}-{one.kind}"
        one.ids.append(await self._events.send(CONDITIONS[one.kind], source, one.message, severity, fields))

    async def _acknowledge(self, parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        one, comment, refusal = self._which(parent, arguments)
        if one is None:
            return refusal
        if one.acked:
            return ua.StatusCode(ua.StatusCodes.BadConditionBranchAlreadyAcked)
        one.acked, one.comment = True, comment
        await self._tell(one)
        return []

    async def _confirm(self, parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        one, comment, refusal = self._which(parent, arguments)
        if one is None:
            return refusal
        if one.confirmed:
            return ua.StatusCode(ua.StatusCodes.BadConditionBranchAlreadyConfirmed)
        one.confirmed, one.comment = True, comment
        await self._tell(one)
        return []

    def _which(
        self, parent: ua.NodeId, arguments: tuple[ua.Variant, ...]
    ) -> tuple[_Condition | None, str, ua.StatusCode]:
        """Return the condition that is meant and the comment, or why there is none."""
        if len(arguments) != 2 or not isinstance(arguments[0].Value, bytes):
            return None, "", _NO_BYTES
        comment = arguments[1].Value
        words = comment.Text if isinstance(comment, ua.LocalizedText) else None
        for condition in self._known.values():
            if condition.node.nodeid == parent and arguments[0].Value in condition.ids:
                return condition, (words or "")[:200], ua.StatusCode()
        return None, "", ua.StatusCode(ua.StatusCodes.BadEventIdUnknown)


def _two_states(name: str, holds: bool, yes: str, no: str) -> dict[str, ua.Variant]:
    now = datetime.now(UTC)
    return {
        name: text(yes if holds else no),
        f"{name}/Id": ua.Variant(holds, ua.VariantType.Boolean),
        f"{name}/TransitionTime": ua.Variant(now, ua.VariantType.DateTime),
    }
