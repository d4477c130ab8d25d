"""Events of the VisionSystem, at its own node and at the server's, where most clients listen. Server's thread."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.common.events import Event

from station.gateways.opcua import structures
from station.gateways.opcua.address_space import Space
from station.gateways.opcua.results import Result
from station.gateways.opcua.states import Transition, effects
from station.gateways.opcua.vision import Job

__all__ = ["CONDITIONS", "Events", "structure", "text"]

CONDITIONS: Final = {"warning": 1034, "error": 1035, "persistent": 1036}
"""The standard's types of conditions."""

_TYPES = {
    "StateChanged": 1018,
    "Error": 1019,
    "ErrorResolved": 1020,
    "RecipePrepared": 1022,
    "Ready": 1023,
    "JobStarted": 1013,
    "ResultReady": 1024,
    "AcquisitionDone": 1025,
}
_USUAL, _SERIOUS = 300, 700
_AUTOMATIC = "VisionStateMachine.AutomaticModeStateMachine"


class Events:
    """Sends events to all who listen."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._places = (space.system.nodeid, ua.NodeId(ua.ObjectIds.Server))

    async def prepare(self) -> None:
        """Let clients listen at both places."""
        server = self._space.server
        for place in self._places:
            await server.get_node(place).set_event_notifier([ua.EventNotifier.SubscribeToEvents])
        await server.nodes.server.add_reference(self._space.system, ua.ObjectIds.HasNotifier, True, True)

    async def send(
        self, kind: int, source: str, message: str, severity: int, fields: Mapping[str, ua.Variant]
    ) -> bytes:
        """Send an event of the standard's type `kind` from the node at `source`; return its id."""
        event, now = Event(), datetime.now(UTC)
        id = uuid.uuid4().bytes
        kept = {
            "EventId": ua.Variant(id, ua.VariantType.ByteString),
            "EventType": ua.Variant(self._space.type(kind), ua.VariantType.NodeId),
            "SourceNode": ua.Variant(self._space.node(source), ua.VariantType.NodeId),
            "SourceName": ua.Variant(source.rpartition(".")[2], ua.VariantType.String),
            "Time": ua.Variant(now, ua.VariantType.DateTime),
            "ReceiveTime": ua.Variant(now, ua.VariantType.DateTime),
            "Message": text(message),
            "Severity": ua.Variant(severity, ua.VariantType.UInt16),
            **fields,
        }
        for name, variant in kept.items():
            event.add_property(name, variant.Value, variant.VariantType)
        for place in self._places:  # the server's last: a refresh of conditions goes there
            event.emitting_node = place
            await self._space.server.iserver.subscription_service.trigger_event(event)
        return id

    async def moved(self, step: Transition, job: Job | None, fault: str) -> None:
        """Send what a transition has as its effects, but RecipePrepared, which needs a recipe."""
        for effect in effects(step):
            if effect in ("JobStarted", "Ready"):
                await self.about_job(effect, job)
            else:
                await self._about_step(effect, step, fault)

    async def about_job(self, kind: str, job: Job | None) -> None:
        """Send an event that carries nothing but a job."""
        named = structure(structures.job_id(job)) if job else ua.Variant(None)
        await self.send(_TYPES[kind], _AUTOMATIC, f"{kind} {job.id if job else ''}".strip(), _USUAL, {"JobId": named})

    async def recipe_prepared(self, external: str, recipe: str, product: str) -> None:
        """Send that a recipe can be used."""
        fields = {
            "ExternalId": structure(structures.external_recipe(external)),
            "InternalId": structure(structures.internal_recipe(recipe)),
            "ProductId": structure(ua.ProductIdDataType(Id=product)),
        }
        await self.send(_TYPES["RecipePrepared"], "RecipeManagement", f"recipe {recipe}", _USUAL, fields)

    async def result_ready(self, result: Result) -> None:
        """Send a result."""
        made = structures.result(result)
        fields = {name: _field(name, getattr(made, name)) for name in _RESULT_FIELDS}
        words = f"{result.event.camera} {result.event.sequence} {result.event.verdict} {result.event.reason}".strip()
        await self.send(_TYPES["ResultReady"], "ResultManagement", words, _USUAL, fields)

    async def _about_step(self, effect: str, step: Transition, fault: str) -> None:
        states = self._space.states
        fields = {}
        for name, word in (("FromState", step.start.title), ("ToState", step.end.title), ("Transition", step.name)):
            fields[name] = text(word)
            fields[f"{name}/Id"] = ua.Variant(states[word], ua.VariantType.NodeId)
        severity = _SERIOUS if effect == "Error" else _USUAL
        source = _AUTOMATIC if step.number >= 500 else "VisionStateMachine"
        await self.send(_TYPES[effect], source, fault or step.name, severity, fields)


_RESULT_FIELDS: dict[str, ua.VariantType | None] = {
    "ResultId": None,
    "IsPartial": ua.VariantType.Boolean,
    "IsSimulated": ua.VariantType.Boolean,
    "ResultState": ua.VariantType.Int32,
    "MeasId": None,
    "PartId": None,
    "ExternalRecipeId": None,
    "InternalRecipeId": None,
    "ProductId": None,
    "ExternalConfigurationId": None,
    "InternalConfigurationId": None,
    "JobId": None,
    "CreationTime": ua.VariantType.DateTime,
    "ProcessingTimes": None,
    "ResultContent": ua.VariantType.Variant,
}


def structure(value: Any) -> ua.Variant:
    """Return a structure as a field of an event or an argument."""
    return ua.Variant(value, ua.VariantType.ExtensionObject)


def text(words: str) -> ua.Variant:
    """Return words for people."""
    return ua.Variant(ua.LocalizedText(words), ua.VariantType.LocalizedText)


def _field(name: str, value: Any) -> ua.Variant:
    kind = _RESULT_FIELDS[name]
    return structure(value) if kind is None else ua.Variant(value, kind)
