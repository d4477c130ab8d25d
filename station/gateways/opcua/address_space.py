"""The address space: the standard's types from its NodeSet, our own beside them, one VisionSystem. Server's thread."""

import gzip
from copy import copy
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from asyncua import Node, Server, ua
from asyncua.common.structures104 import new_struct, new_struct_field

__all__ = ["NAMESPACE", "STANDARD", "Space", "build"]

STANDARD: Final = "http://opcfoundation.org/UA/MachineVision"
NAMESPACE: Final = "urn:shadowline:inspection"
"""Of our own types and nodes."""

_ROOT = "VisionSystem"
_NODESET = "Opc.Ua.MachineVision.NodeSet2.xml.gz"
_BINARY_ID, _BINARY_IDS = 3019, (3002, 3008, 3013)
_VISION_SYSTEM, _STATE_MACHINE, _AUTOMATIC_MODE = 1003, 1017, 1021
_TEXT, _NUMBER, _FLAG = ua.VariantType.String, ua.VariantType.Double, ua.VariantType.Boolean
_COUNT, _PIXELS = ua.VariantType.UInt64, ua.VariantType.UInt32
_INSPECTION = {
    "Camera": _TEXT,
    "Sequence": _COUNT,
    "Event": _COUNT,
    "Verdict": _TEXT,
    "Reason": _TEXT,
    "Late": _FLAG,
    "LatencyMs": _NUMBER,
    "Model": _TEXT,
    "Coil": _TEXT,
    "Order": _TEXT,
    "PositionMm": [_NUMBER],
    "WidthPx": _PIXELS,
    "HeightPx": _PIXELS,
}
_DEFECT = {
    "Label": _TEXT,
    "Confidence": _NUMBER,
    "BoxPx": [_PIXELS],
    "AreaPx": _PIXELS,
    "Depth": _NUMBER,
    "Novelty": [_NUMBER],
    "BoxMm": [_NUMBER],
    "AreaMm2": [_NUMBER],
    "PositionMm": [_NUMBER],
    "GoesOn": _FLAG,
    "FoundBy": _TEXT,
    "Score": _NUMBER,
}
"""Lists are empty where the station does not know."""


@dataclass(frozen=True, slots=True)
class Space:
    """Where everything is."""

    server: Server
    standard: int
    """Index of the standard's namespace."""
    own: int
    """Index of ours."""
    system: Node
    """The VisionSystem."""
    states: dict[str, ua.NodeId]
    """Nodes of states and transitions, by their BrowseNames."""

    def type(self, number: int) -> ua.NodeId:
        """Return the id of the standard's node `number`."""
        return ua.NodeId(number, self.standard)

    def node(self, path: str) -> ua.NodeId:
        """Return the id of the node at `path` below the VisionSystem, names parted by dots."""
        return ua.NodeId(f"{_ROOT}.{path}", self.own)

    async def write(self, node: ua.NodeId, value: ua.Variant, status: int = 0) -> None:
        """Show `value` at `node` as of now."""
        await self.server.write_attribute_value(node, ua.DataValue(value, ua.StatusCode(status)))


async def build(server: Server, name: str) -> Space:
    """Load the types and make the VisionSystem of the station `name`."""
    standard_types = gzip.decompress((files(__package__) / "nodeset" / _NODESET).read_bytes())
    await server.import_xml(xmlstring=standard_types.decode())
    standard = await server.get_namespace_index(STANDARD)
    await _define_ids(server, standard)
    own = await server.register_namespace(NAMESPACE)
    await _make_struct(server, own, "InspectionType", _INSPECTION)
    await _make_struct(server, own, "DefectType", _DEFECT)
    await server.load_data_type_definitions()
    kind = ua.NodeId(_VISION_SYSTEM, standard)
    place = ua.NodeId(_ROOT, own)
    system = await server.nodes.objects.add_object(place, ua.QualifiedName(name, own), objecttype=kind)
    states = await _states(server, standard)
    return Space(server, standard, own, system, states)


async def _define_ids(server: Server, standard: int) -> None:
    """Give the three kinds of ids the definition that they inherit: without one of their own clients fail on them."""
    common = await server.get_node(ua.NodeId(_BINARY_ID, standard)).read_data_type_definition()
    for number in _BINARY_IDS:
        node = server.get_node(ua.NodeId(number, standard))
        encodings = await node.get_referenced_nodes(ua.ObjectIds.HasEncoding)
        names = {(await one.read_browse_name()).Name: one.nodeid for one in encodings}
        own = copy(common)
        own.BaseDataType, own.DefaultEncodingId = ua.NodeId(_BINARY_ID, standard), names["Default Binary"]
        await node.write_data_type_definition(own)


async def _make_struct(server: Server, own: int, name: str, fields: dict[str, Any]) -> None:
    members = [
        new_struct_field(key, kind[0], array=True) if isinstance(kind, list) else new_struct_field(key, kind)
        for key, kind in fields.items()
    ]
    await new_struct(server, own, name, members)


async def _states(server: Server, standard: int) -> dict[str, ua.NodeId]:
    found = {}
    for machine in (_STATE_MACHINE, _AUTOMATIC_MODE):
        for node in await server.get_node(ua.NodeId(machine, standard)).get_children():
            found[(await node.read_browse_name()).Name] = node.nodeid
    return found
