"""An inspection's event says where its defects lie, in millimetres where the camera's scale is known."""

import numpy as np
import pytest

from calibration.geometry import CELL_PX, Geometry
from station.event import DefectRecord, Origin
from station.frame import Frame, Position
from station.inspection import Inspection
from station.inspection_event import PIXELS, Scale, make_inspection_event
from station.verdict import Defect, Verdict

ORIGIN = Origin("line", "0123456789ab", "model 0123", "4567")
IMAGE = np.zeros((64, 96), np.uint8)
HERE = Position(1000.0, 20, "A", False)
DEFECTS = (Defect("scratches", 0.9, (10, 20, 4, 8), 16, 30.0), Defect("patches", 0.8, (0, 0, 96, 64), 96 * 64, -5.0))


def half_a_mm() -> Geometry:
    """Return the geometry of a camera whose pixels are 0.5 mm across and 0.25 mm along."""
    y, x = np.mgrid[: 64 // CELL_PX + 1, : 96 // CELL_PX + 1] * float(CELL_PX)
    return Geometry(np.stack([x * 0.5, y * 0.25], -1), 96, 64)


def records(scale: Scale, position: Position | None = HERE) -> tuple[DefectRecord, ...]:
    frame = Frame("top", 1, IMAGE, 5, 6, position=position)
    inspection = Inspection(frame, 1, Verdict.REJECT, "scratches", 10, False, DEFECTS)
    return make_inspection_event(inspection, ORIGIN, 20.0, scale).defects


@pytest.mark.parametrize(("pitch_mm", "along"), [(0.25, (1005.0, 1007.0)), (-0.25, (995.0, 993.0))])
def test_boxes_areas_and_positions_are_in_millimetres(pitch_mm: float, along: tuple[float, float]) -> None:
    scratch, patch = records(Scale(pitch_mm, half_a_mm()))
    assert scratch.box_mm == pytest.approx((5.0, 5.0, 2.0, 2.0))
    assert scratch.area_mm2 == pytest.approx(16 * 0.5 * 0.25)
    assert scratch.position_mm == pytest.approx(along)
    assert patch.box_mm == pytest.approx((0.0, 0.0, 48.0, 16.0))
    assert patch.area_mm2 == pytest.approx(48.0 * 16.0)


def test_a_pitch_alone_gives_the_position_along() -> None:
    scratch, _ = records(Scale(pitch_mm=0.25))
    assert scratch.position_mm == pytest.approx((1005.0, 1007.0))
    assert scratch.box_mm is None
    assert scratch.area_mm2 is None


def test_without_a_position_only_sizes_are_known() -> None:
    scratch, _ = records(Scale(0.25, half_a_mm()), position=None)
    assert scratch.position_mm is None
    assert scratch.box_mm is not None
    assert records(PIXELS)[0].box_mm is None
