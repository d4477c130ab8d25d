"""Where pictures lie on their way to the reject gate, by time and by the line's counter."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from shadowline.errors import ConfigError
from station.clock import ManualClock
from station.config import Config
from station.config.gateways import RejectConfig
from station.config_file import parse
from station.event import InspectionEvent, PositionRecord
from station.gateways.gate import Stretch
from station.gateways.place import ByTime, ByWay, open_place
from station.odometer import Odometer
from tests.journal_double import inspection

MODBUS = {"type": "modbus", "host": "127.0.0.1", "first_register": 0, "mm_per_count": 0.5, "bits": 16}


def config(encoder: dict[str, Any] | None) -> Config:
    line = {"encoder": encoder} if encoder else {}
    return parse({"camera": [{"name": "top", "type": "simulated"}], "line": line}, Path("config.toml"))


def told(clock: ManualClock, ago_ms: float, waited_ms: float = 1.0) -> InspectionEvent:
    """Return a result of a picture that was taken so long ago, decided after 1 ms and published `waited_ms` later."""
    captured_ns = clock.utc_ns() - round(ago_ms * 1e6)
    return msgspec.structs.replace(
        inspection(1), captured_ns=captured_ns, published_ns=captured_ns + round((1.0 + waited_ms) * 1e6)
    )


def test_by_time_a_picture_lies_where_it_was_taken() -> None:
    clock = ManualClock()
    clock.sleep(10)
    way = ByTime(clock, frame=40.0)
    assert way.here() == 10_000.0
    assert way.of(told(clock, 15.0)) == Stretch(9985.0, 10_025.0, accepted=True)


@pytest.mark.parametrize("step_s", [0.5, -0.5, 3600.0, -3600.0])
def test_a_clock_that_stepped_on_the_way_leaves_a_picture_without_a_place(step_s: float) -> None:
    clock = ManualClock()
    way = ByTime(clock, frame=40.0)
    stepped_after_publishing, published_late = told(clock, 15.0), told(clock, 3000.0, waited_ms=2900.0)
    assert way.of(published_late) is None
    clock.step_utc(step_s)
    if abs(step_s) > 1:
        assert way.of(stepped_after_publishing) is None
    captured_before = msgspec.structs.replace(stepped_after_publishing, published_ns=clock.utc_ns())
    assert way.of(captured_before) is None


def way_of(clock: ManualClock, reject: RejectConfig, **encoder: Any) -> tuple[ByWay, Odometer]:
    settings = config(MODBUS | encoder)
    odometer = Odometer(settings.line, clock)
    return ByWay(settings, reject, odometer, clock), odometer


def picture(count: int, pitch_mm: float | None = 0.25) -> InspectionEvent:
    position = PositionRecord(0.0, pitch_mm, count, "", False)
    return msgspec.structs.replace(inspection(1), position=position, size_px=(64, 400))


@pytest.mark.parametrize("reverse", [False, True])
def test_by_the_counter_a_picture_lies_at_its_count_over_the_wrap(reverse: bool) -> None:
    clock = ManualClock()
    way, odometer = way_of(clock, RejectConfig(distance_mm=2000), reversed=reverse)
    sign = -1 if reverse else 1
    for moved in range(0, 2001, 100):
        odometer.read((65_000 + sign * moved) % 65_536, clock.tick_ns())
        here = way.here()
        clock.sleep(0.1)
    assert here == pytest.approx(1000.0, abs=0.6)
    here, stretch = way.here(), way.of(picture((65_000 + sign * 1600) % 65_536))
    assert here is not None
    assert stretch is not None
    assert (stretch.start - here + 50.0, stretch.end - stretch.start) == pytest.approx((-200.0, 100.0), abs=0.6)


def test_without_a_count_or_with_a_silent_counter_nothing_has_a_place() -> None:
    clock = ManualClock()
    way, odometer = way_of(clock, RejectConfig(distance_mm=2000))
    assert way.here() is None
    odometer.read(100, clock.tick_ns())
    assert way.of(inspection(1)) is None
    assert way.of(picture(90, pitch_mm=None)) is None
    assert way.of(picture(90)) is not None
    clock.sleep(60)
    assert way.here() is None
    assert way.of(picture(90)) is None


def test_a_line_of_constant_speed_is_placed_by_time() -> None:
    clock = ManualClock()
    clock.sleep(2)
    settings = config({"type": "speed", "mm_per_s": 500.0})
    way = open_place(settings, RejectConfig(distance_mm=2000, frame=30), None, clock)
    assert way.here() == 1000.0
    with pytest.raises(ConfigError, match="give frame"):
        open_place(settings, RejectConfig(distance_mm=2000), None, clock)


def test_a_position_that_nobody_counts_is_refused() -> None:
    with pytest.raises(ConfigError, match="no counter"):
        open_place(config(None), RejectConfig(distance_mm=2000), None, ManualClock())


@pytest.mark.parametrize(
    ("table", "named"),
    [({}, "not both"), ({"distance_mm": 1, "delay_ms": 1}, "not both"), ({"delay_ms": 5}, "delay_ms needs frame")],
)
def test_a_gate_is_placed_one_way(table: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RejectConfig(**table)
