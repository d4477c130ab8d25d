"""Which metrics of Sparkplug a station and its cameras have, and what a message says of them. Pure.

The two tables are the whole of it: names, types and, by their order, aliases. docs/mqtt.md shows them.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from station.client import Gap, Renumbered
from station.event import (
    CoverageEvent,
    DefectRecord,
    InspectionEvent,
    LossEvent,
    ModelEvent,
    Numbered,
    ServiceEvent,
    StateEvent,
)
from station.gateways.base import Entry, Expired
from station.gateways.mqtt.payload import DataSet, DataType, Value

__all__ = ["CAMERA", "NODE", "Values", "camera_of", "taken_ms", "values_of"]

Values: TypeAlias = Mapping[str, Value]

NODE: Final[Mapping[str, DataType]] = {
    "Properties/Version": DataType.STRING,
    "Station/Heard": DataType.BOOLEAN,
    "Station/Journal": DataType.STRING,
    "Station/Expired Results": DataType.UINT64,
    "Station/Lost Messages": DataType.UINT64,
    "Event/Run": DataType.STRING,
    "Event/Number": DataType.UINT64,
    "Model/Action": DataType.STRING,
    "Model/Name": DataType.STRING,
    "Model/Detail": DataType.STRING,
    "Service/Name": DataType.STRING,
    "Service/State": DataType.STRING,
    "Service/Detail": DataType.STRING,
    "Missing/First": DataType.UINT64,
    "Missing/Last": DataType.UINT64,
    "Missing/Reason": DataType.STRING,
}
"""Of the edge node, which is the station."""

CAMERA: Final[Mapping[str, DataType]] = {
    "Event/Run": DataType.STRING,
    "Event/Number": DataType.UINT64,
    "Sequence": DataType.UINT64,
    "Captured": DataType.DATE_TIME,
    "Verdict": DataType.STRING,
    "Reject": DataType.BOOLEAN,
    "Reason": DataType.STRING,
    "Late": DataType.BOOLEAN,
    "Latency ms": DataType.DOUBLE,
    "Defects/Count": DataType.UINT32,
    "Defects/Table": DataType.DATA_SET,
    "Part": DataType.STRING,
    "Job": DataType.STRING,
    "Recipe": DataType.STRING,
    "Coil": DataType.STRING,
    "Position mm": DataType.DOUBLE,
    "Model": DataType.STRING,
    "State": DataType.STRING,
    "State Detail": DataType.STRING,
    "Coverage/Coil": DataType.STRING,
    "Coverage/Start mm": DataType.DOUBLE,
    "Coverage/End mm": DataType.DOUBLE,
    "Coverage/Reason": DataType.STRING,
}
"""Of a device, which is a camera."""

_DEFECT: Final[Mapping[str, DataType]] = {
    "label": DataType.STRING,
    "confidence": DataType.DOUBLE,
    "x": DataType.INT64,
    "y": DataType.INT64,
    "width": DataType.INT64,
    "height": DataType.INT64,
    "area_px": DataType.UINT64,
    "start_mm": DataType.DOUBLE,
    "end_mm": DataType.DOUBLE,
}


def camera_of(entry: Entry) -> str | None:
    """Return the camera that an entry is about, None where it is about the station."""
    return entry.camera if isinstance(entry, InspectionEvent | StateEvent | CoverageEvent) else None


def taken_ms(entry: Entry) -> int | None:
    """Return when that was which an entry tells, in milliseconds UTC; None where it does not say."""
    match entry:
        case InspectionEvent():
            return entry.captured_ns // 1_000_000
        case Gap() | Expired() | Renumbered():
            return None
        case _:
            return entry.published_ns // 1_000_000


def values_of(entry: Entry) -> Values:
    """Return what an entry says, by the names of `NODE`, or of `CAMERA` where it is about one."""
    match entry:
        case InspectionEvent():
            return _key(entry) | _result(entry)
        case StateEvent():
            return _key(entry) | {"State": entry.state, "State Detail": entry.detail}
        case CoverageEvent():
            return _key(entry) | {
                "Coverage/Coil": entry.coil,
                "Coverage/Start mm": entry.start_mm,
                "Coverage/End mm": entry.end_mm,
                "Coverage/Reason": entry.reason,
            }
        case ModelEvent():
            return _key(entry) | {
                "Model/Action": entry.action,
                "Model/Name": entry.model,
                "Model/Detail": entry.detail,
            }
        case ServiceEvent():
            return _key(entry) | {
                "Service/Name": entry.service,
                "Service/State": entry.state,
                "Service/Detail": entry.detail,
            }
        case LossEvent():
            return _key(entry) | _missing(entry.first, entry.last, entry.reason)
        case Gap():
            return _missing(entry.first, entry.last, entry.reason)
        case Expired():
            return _missing(entry.first, entry.last, f"expired, {entry.inspections} results")
        case Renumbered():
            return _missing(0, 0, f"renumbered: {entry.reason}")


def _key(message: Numbered) -> dict[str, Value]:
    """Return what names one message, wherever and however often it comes."""
    return {"Event/Run": message.origin.run, "Event/Number": message.event}


def _missing(first: int, last: int, reason: str) -> dict[str, Value]:
    return {"Missing/First": first, "Missing/Last": last, "Missing/Reason": reason}


def _result(event: InspectionEvent) -> dict[str, Value]:
    place = event.position
    return {
        "Sequence": event.sequence,
        "Captured": event.captured_ns // 1_000_000,
        "Verdict": event.verdict,
        "Reject": event.verdict != "accept",
        "Reason": event.reason,
        "Late": event.late,
        "Latency ms": event.latency_ms,
        "Defects/Count": len(event.defects),
        "Defects/Table": DataSet(
            tuple(_DEFECT), tuple(_DEFECT.values()), tuple(_row(defect) for defect in event.defects)
        ),
        "Part": event.part,
        "Job": event.job,
        "Recipe": event.origin.recipe,
        "Coil": place.coil if place is not None else None,
        "Position mm": place.mm if place is not None else None,
        "Model": event.origin.model,
    }


def _row(defect: DefectRecord) -> tuple[str | float | None, ...]:
    start_mm, end_mm = defect.position_mm or (None, None)
    return (defect.label, defect.confidence, *defect.box_px, defect.area_px, start_mm, end_mm)
