"""What tests put into a gateway to a PLC: results, and what it knows of the station."""

from typing import Any

import msgspec

from station.clock import Clock
from station.event import DefectRecord, EngineRecord, Heartbeat, InspectionEvent, Origin
from station.gateways.base import View
from station.gateways.plc.registers import DEFECTS
from tests.journal_double import inspection

__all__ = ["LABELS", "result_of", "view_of"]

LABELS = ("crazing", "scratches")


def result_of(event: int, published_ns: int = 0, part: str = "") -> InspectionEvent:
    """Return a result whose words tell its number, from the first to the last."""
    defect = DefectRecord("scratches", 0.5, (event % 999, 2, 3, 4), 12, -20.0)
    return msgspec.structs.replace(
        inspection(event),
        published_ns=published_ns,
        captured_ns=published_ns,
        part=part,
        verdict="reject",
        reason="scratches",
        defects=(defect,) * DEFECTS,
    )


def view_of(clock: Clock, journal: str = "journal1", beat: Heartbeat | None = None, **changes: Any) -> View:
    """Return what a gateway tells of a station that is well."""
    origin = Origin("line", "run1", "model", "config")
    engine = EngineRecord("fake", LABELS, "")
    view = View(
        station="line",
        online=True,
        beat=beat or Heartbeat(origin, clock.utc_ns(), 1.0, 0, {}, engine, {}),
        now_ns=clock.utc_ns(),
        journal=journal,
        state="online",
        detail="",
        waiting=0,
        expired=0,
        lost=0,
        late=0,
        reject=False,
    )
    return View(**{name: changes.get(name, getattr(view, name)) for name in View.__slots__})
