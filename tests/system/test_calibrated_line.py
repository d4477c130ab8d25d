"""A line whose camera is calibrated: events in millimetres, and the refusal of what is another camera's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import Binding, CalibrationStore, FlatField
from calibration.geometry import CELL_PX, Geometry
from shadowline.errors import CalibrationError
from station.app import Station
from station.config import Config
from station.config_file import parse
from station.event import CoverageEvent, InspectionEvent
from tests.system.lines import Listener, listening

WIDTH, HEIGHT, MM_PER_PX = 256, 128, 0.25


def make_config(folder: Path, **camera: Any) -> Config:
    strip = {
        "name": "top",
        "type": "simulated",
        "width_px": WIDTH,
        "height_px": HEIGHT,
        "rate_hz": 100.0,
        "defects_per_frame": 2.0,
        "drop": "wait",
    }
    return parse(
        {
            "camera": [strip | camera],
            "line": {"encoder": {"type": "chunk", "mm_per_count": MM_PER_PX}},
            "calibration": {"folder": "calibrations"},
            "engine": {"backend": "fake"},
            "publish": {"endpoint": f"ipc://{folder}/events"},
            "metrics": {"port": 0},
            "control": {"enabled": False},
        },
        folder / "config.toml",
    )


def make_geometry(width_px: int = WIDTH, height_px: int = HEIGHT) -> Geometry:
    rows, columns = -(-height_px // CELL_PX) + 1, -(-width_px // CELL_PX) + 1
    y, x = np.mgrid[:rows, :columns] * (CELL_PX * MM_PER_PX)
    return Geometry(np.stack([x, y], -1), width_px, height_px)


def save_geometry(folder: Path, geometry: Geometry, identity: str = "simulated top") -> None:
    binding = Binding(camera=identity, width_px=geometry.width_px, height_px=geometry.height_px or 1)
    CalibrationStore(folder / "calibrations").save("geometry", "top", binding, {}, geometry.arrays(), {})


def run(config: Config, frames: int = 30) -> Listener:
    with listening(config.publish.endpoint) as listener:
        with Station(config, frames) as station:
            while not station.done:
                listener.hear()
        listener.hear_rest()
    return listener


def test_boxes_areas_and_positions_are_millimetres(tmp_path: Path) -> None:
    save_geometry(tmp_path, make_geometry())
    events = run(make_config(tmp_path)).inspections
    assert len(events) == 30
    defects = [(event, defect) for event in events for defect in event.defects]
    assert len(defects) > 10
    for event, defect in defects:
        assert defect.box_mm == pytest.approx([side * MM_PER_PX for side in defect.box_px], abs=1e-3)
        assert defect.area_mm2 == pytest.approx(defect.area_px * MM_PER_PX**2, abs=1e-3)
        assert event.position is not None
        assert event.position.pitch_mm == pytest.approx(MM_PER_PX)
        start = event.position.mm + defect.box_px[1] * MM_PER_PX
        assert defect.position_mm == pytest.approx((start, start + defect.box_px[3] * MM_PER_PX), abs=2e-3)
    assert {len(event.origin.calibration or "") for event in events} == {12}


def test_where_lower_rows_passed_earlier_positions_fall(tmp_path: Path) -> None:
    save_geometry(tmp_path, make_geometry())
    events = run(make_config(tmp_path, pitch_mm=-MM_PER_PX), 20).inspections
    defects = [(event, defect) for event in events for defect in event.defects]
    assert defects
    for event, defect in defects:
        assert event.position is not None
        start = event.position.mm - defect.box_px[1] * MM_PER_PX
        assert defect.position_mm == pytest.approx((start, start - defect.box_px[3] * MM_PER_PX), abs=2e-3)


def test_without_calibration_there_are_pixels_alone(tmp_path: Path) -> None:
    events = run(make_config(tmp_path), 5).inspections
    assert {event.origin.calibration for event in events} == {None}
    assert {defect.box_mm for event in events for defect in event.defects} <= {None}


def test_another_devices_calibration_ends_the_start(tmp_path: Path) -> None:
    save_geometry(tmp_path, make_geometry(), "acme 7")
    with pytest.raises(CalibrationError, match="top geometry 1 was made with acme 7, but this is simulated top"):
        Station(make_config(tmp_path)).__enter__()


def test_a_calibration_of_another_size_ends_the_start(tmp_path: Path) -> None:
    save_geometry(tmp_path, make_geometry(WIDTH * 2))
    with pytest.raises(CalibrationError, match="width_px 512, but 256 is configured"):
        Station(make_config(tmp_path)).__enter__()


def test_a_geometry_of_whole_frames_is_refused_for_blocks_that_overlap(tmp_path: Path) -> None:
    save_geometry(tmp_path, make_geometry())
    with pytest.raises(CalibrationError, match="is of whole frames, but overlap_rows = 8"):
        Station(make_config(tmp_path, overlap_rows=8)).__enter__()


def test_a_flat_field_serves_blocks_with_and_without_rows_of_the_one_before(tmp_path: Path) -> None:
    across = np.linspace(0.7, 1.3, WIDTH, dtype=np.float32)
    field = FlatField(np.repeat(across[None], HEIGHT, 0))
    binding = Binding(camera="", width_px=WIDTH, height_px=HEIGHT)
    store = CalibrationStore(tmp_path / "calibrations")
    store.save(
        "flat-field", "top", binding, {"level": 128.0}, {"gain": field.gain, "dark": np.zeros_like(field.gain)}, {}
    )
    events = run(make_config(tmp_path, overlap_rows=16, pitch_mm=MM_PER_PX, faults={"lose_every": 7})).inspections
    seen = [event for event in events if event.verdict != "invalid"]
    assert {event.size_px for event in seen} == {(WIDTH, HEIGHT), (WIDTH, HEIGHT + 16)}
    assert {event.reason for event in events if event.verdict == "invalid"} <= {"lost", "overfull"}


def test_strip_that_was_not_inspected_is_told_once_and_to_the_millimetre(tmp_path: Path) -> None:
    faults = {"lose_every": 5, "cut_every": 7}
    listener = run(make_config(tmp_path, pitch_mm=MM_PER_PX, defects_per_frame=0.0, faults=faults), 60)
    told = [message for message in listener.messages if isinstance(message, CoverageEvent)]
    assert {reason for event in told for reason in event.reason.split(", ") if reason} == {"lost", "incomplete"}
    block_mm = HEIGHT * MM_PER_PX
    seen = [event for event in listener.inspections if event.verdict != "invalid"]
    last = [event for event in listener.messages if isinstance(event, InspectionEvent) and event.position][-1]
    assert last.position is not None
    passed_mm = last.position.mm + block_mm
    missed_mm = sum(event.end_mm - event.start_mm for event in told if event.reason and event.end_mm <= passed_mm)
    assert missed_mm + len(seen) * block_mm == pytest.approx(passed_mm, abs=0.01)


def test_strip_that_was_inspected_is_one_stretch(tmp_path: Path) -> None:
    listener = run(make_config(tmp_path, pitch_mm=MM_PER_PX, defects_per_frame=0.0), 60)
    (told,) = (message for message in listener.messages if isinstance(message, CoverageEvent))
    assert (told.reason, told.start_mm, told.end_mm) == ("", 0.0, 60 * HEIGHT * MM_PER_PX)
