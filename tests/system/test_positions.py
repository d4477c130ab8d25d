"""Positions of frames and defects on the running line: the simulated camera's own encoder, and a coil that begins."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from station.app import Station
from station.config import Config
from station.config_file import parse
from station.control_protocol import Coil, ask, endpoint_of
from station.event import DefectRecord, InspectionEvent
from tests.system.lines import Listener, listening

HEIGHT, PITCH_MM, REACH_MM = 64, 0.5, 200.0
COUNTER = {"type": "chunk", "mm_per_count": PITCH_MM}


def make_config(folder: Path, encoder: dict[str, Any], **camera: Any) -> Config:
    strip = {
        "name": "top",
        "type": "simulated",
        "width_px": 256,
        "height_px": HEIGHT,
        "rate_hz": 100.0,
        "defects_per_frame": 2.0,
        "pitch_mm": PITCH_MM,
        "reach_mm": REACH_MM,
        "drop": "wait",
    }
    return parse(
        {
            "camera": [strip | camera],
            "line": {"encoder": encoder},
            "engine": {"backend": "fake"},
            "publish": {"endpoint": f"ipc://{folder}/events"},
            "metrics": {"port": 0},
            "control": {"endpoint": f"ipc://{folder}/control"},
        },
        folder / "config.toml",
    )


def run(config: Config, frames: int) -> Listener:
    with listening(config.publish.endpoint) as listener:
        with Station(config, frames) as station:
            while not station.done:
                listener.hear()
        listener.hear_rest()
    return listener


def inspected(listener: Listener) -> list[InspectionEvent]:
    return [event for event in listener.inspections if event.position is not None]


def test_frames_and_defects_have_the_millimetres_of_their_rows(tmp_path: Path) -> None:
    events = inspected(run(make_config(tmp_path, COUNTER), 40))
    assert len(events) == 40
    for event in events:
        assert event.position is not None
        assert event.frame_id is not None
        assert event.position.mm == event.frame_id * HEIGHT * PITCH_MM - REACH_MM
        assert event.position.count == event.frame_id * HEIGHT
        for defect in event.defects:
            _, y, _, height = defect.box_px
            start = event.position.mm + y * PITCH_MM
            assert defect.position_mm == (start, start + height * PITCH_MM)
    assert any(event.defects for event in events)


def test_blocks_that_overlap_begin_where_their_first_row_is(tmp_path: Path) -> None:
    events = inspected(run(make_config(tmp_path, COUNTER, overlap_rows=16), 40))
    assert [event.size_px for event in events] == [(256, HEIGHT)] + [(256, HEIGHT + 16)] * 39
    starts = [event.position.mm for event in events if event.position is not None]
    assert {after - before for before, after in pairwise(starts[1:])} == {HEIGHT * PITCH_MM}
    assert starts[1] - starts[0] == (HEIGHT - 16) * PITCH_MM
    for before, after in pairwise(events):
        told = [strip_box(defect) for defect in before.defects]
        for defect in after.defects:
            assert defect.goes_on or not any(same(strip_box(defect), box) for box in told)
    assert sum(len(event.defects) for event in events) > 20


def strip_box(defect: DefectRecord) -> tuple[float, float, float, float]:
    """Return where a defect lies on the strip: first and last pixel across, first and last millimetre along."""
    assert defect.position_mm is not None
    return defect.box_px[0], defect.box_px[0] + defect.box_px[2], *defect.position_mm


def same(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Whether two defects lie over each other by half of the first."""
    across = min(one[1], other[1]) - max(one[0], other[0])
    along = min(one[3], other[3]) - max(one[2], other[2])
    return across > 0 and along > 0 and across * along > 0.5 * (one[1] - one[0]) * (one[3] - one[2])


def test_a_coil_begins_when_it_is_told_to(tmp_path: Path) -> None:
    config = make_config(tmp_path, {"type": "speed", "mm_per_s": 2000.0})
    with listening(config.publish.endpoint) as listener, Station(config):
        while not inspected(listener):
            listener.hear()
        ask(endpoint_of(config), Coil("A17"))
        while inspected(listener)[-1].position.coil != "A17":  # type: ignore[union-attr]
            listener.hear()
    events = inspected(listener)
    before = [event.position.mm for event in events if event.position and event.position.coil == ""]
    first = next(event.position.mm for event in events if event.position and event.position.coil == "A17")
    assert before == sorted(before)
    assert before[-1] > first - 2000.0 >= -2000.0 - REACH_MM
