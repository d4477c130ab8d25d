"""From an inspection to its event, pixels to millimetres. Pure; called from the inspect thread."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import TypeAlias

import numpy as np

from calibration.geometry import Geometry
from station.event import DefectRecord, InspectionEvent, Origin, PositionRecord, StageTimes
from station.frame import Frame, Missing, Position
from station.inspection import Inspection
from station.verdict import Defect

__all__ = ["PIXELS", "Scale", "make_inspection_event"]


Box: TypeAlias = tuple[float, float, float, float]
"""x, y, width and height in mm."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What turns a camera's pixels into millimetres: its geometry, and the pitch from each row to the next.

    A negative pitch says that lower rows passed earlier, for the geometry too.
    """

    pitch_mm: float | None = None
    geometry: Geometry | None = None


PIXELS = Scale()
"""A camera of which nobody knows how large its pixels are."""


def make_inspection_event(
    inspection: Inspection,
    origin: Origin,
    budget_ms: float,
    scale: Scale = PIXELS,
) -> InspectionEvent:
    """Return the event of `inspection`; its number and publish time are still 0."""
    about, stages = inspection.about, inspection.stages
    frame = about if isinstance(about, Frame) else None
    position = frame.position if frame else None
    return InspectionEvent(
        event=0,
        origin=origin,
        camera=about.camera,
        sequence=inspection.sequence,
        captured_ns=about.captured_ns,
        clock=frame.clock if frame else "host",
        published_ns=0,
        verdict=inspection.verdict.value,
        reason=inspection.reason,
        late=inspection.late,
        budget_ms=budget_ms,
        latency_ms=round(inspection.latency_ns / 1e6, 3),
        size_px=(frame.image.shape[1], frame.image.shape[0]) if frame else None,
        defects=_record_all(inspection.defects, position, scale),
        stages_us=StageTimes(
            stages.wait_ns / 1e3,
            stages.regions_ns / 1e3,
            stages.crops_ns / 1e3,
            stages.classify_ns / 1e3,
            stages.verdict_ns / 1e3,
        ),
        frame_id=about.frame_id,
        encoder=frame.encoder if frame else None,
        source=about.source,
        detail=inspection.detail,
        valid_rows=about.valid_rows if isinstance(about, Missing) else None,
        line_status=frame.line_status if frame else None,
        position=None if position is None else _locate(position, scale),
        part=about.piece.part,
        job=about.piece.job,
    )


def _locate(position: Position, scale: Scale) -> PositionRecord:
    return PositionRecord(round(position.mm, 3), scale.pitch_mm, position.count, position.coil, position.reversed)


def _record_all(defects: tuple[Defect, ...], position: Position | None, scale: Scale) -> tuple[DefectRecord, ...]:
    if not defects:
        return ()
    boxes: Iterable[Box | None] = repeat(None)
    if scale.geometry is not None:
        boxes_px = np.array([defect.box_px for defect in defects], np.int32)
        boxes = map(tuple, scale.geometry.boxes_mm(boxes_px).round(3).tolist())
    return tuple(_record(defect, box, position, scale) for defect, box in zip(defects, boxes, strict=False))


def _record(defect: Defect, box_mm: Box | None, position: Position | None, scale: Scale) -> DefectRecord:
    _, _, width, height = defect.box_px
    return DefectRecord(
        defect.label,
        round(defect.confidence, 4),
        defect.box_px,
        defect.area_px,
        round(defect.depth, 1),
        None if defect.novelty is None else round(defect.novelty, 6),
        _along(defect, box_mm, position, scale.pitch_mm),
        defect.goes_on,
        box_mm,
        None if box_mm is None else round(defect.area_px * box_mm[2] * box_mm[3] / (width * height), 3),
        defect.found_by,
        defect.score if defect.score == 1 else round(defect.score, 4),
    )


def _along(
    defect: Defect, box_mm: Box | None, position: Position | None, pitch_mm: float | None
) -> tuple[float, float] | None:
    """Return from where to where the defect lies on the strip, by the geometry or, without one, by the pitch."""
    if position is None or pitch_mm is None:
        return None
    _, y, _, height = defect.box_px
    start_mm, length_mm = (y * abs(pitch_mm), height * abs(pitch_mm)) if box_mm is None else box_mm[1::2]
    way = -1 if pitch_mm < 0 else 1
    start_mm = position.mm + way * start_mm
    return round(start_mm, 3), round(start_mm + way * length_mm, 3)
