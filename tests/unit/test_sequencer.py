import numpy as np
import pytest

from station.clock import ManualClock
from station.config import CameraBase
from station.frame import Exposure, Frame, InvalidReason, Missing, Piece, Position
from station.ledger import Ledger
from station.sequencer import MAX_JUMP, Sequencer

PICTURE = np.zeros((40, 6), np.uint8)
OTHER = np.ones((40, 6), np.uint8)


def exposure(frame_id: int | None, **changes: object) -> Exposure:
    return Exposure(**({"image": PICTURE, "frame_id": frame_id, "captured_ns": 7} | changes))  # type: ignore[arg-type]


def make(max_frames: int | None = None, clock: ManualClock | None = None, **settings: object) -> Sequencer:
    def locate(count: int | None, tick_ns: int) -> Position | None:
        return None if count is None else Position(count / 10, count)

    config = CameraBase.model_validate({"name": "top"} | settings)
    return Sequencer(config, Ledger(["top"], max_frames), clock or ManualClock(), locate)


def announce(exposures: list[Exposure], max_frames: int | None = None, **settings: object) -> list[Frame | Missing]:
    sequencer = make(max_frames, **settings)
    return [item for one in exposures for item in sequencer.announce(one)]


def names(items: list[Frame | Missing]) -> list[str]:
    return [
        f"frame {item.sequence}" if isinstance(item, Frame) else f"{item.reason} {item.sequence}×{item.count}"
        for item in items
    ]


CASES = {
    "in order": ([exposure(0), exposure(1)], ["frame 1", "frame 2"]),
    "no counter": ([exposure(None), exposure(None)], ["frame 1", "frame 2"]),
    "two lost": ([exposure(5), exposure(8)], ["frame 1", "lost 2×2", "frame 4"]),
    "repeated": ([exposure(5), exposure(5), exposure(6)], ["frame 1", "repeated 2×1", "frame 3"]),
    "an old one again": ([exposure(5), exposure(6), exposure(5)], ["frame 1", "frame 2", "repeated 3×1"]),
    "counter anew": ([exposure(MAX_JUMP * 3), exposure(0), exposure(1)], ["frame 1", "frame 2", "frame 3"]),
    "short": ([exposure(0, valid_rows=30), exposure(1, valid_rows=40)], ["incomplete 1×1", "frame 2"]),
    "a driver's colour": ([exposure(0, image=np.zeros((4, 6, 3), np.uint8))], ["unsupported 1×1"]),
    "a driver's floats": ([exposure(0, image=np.zeros((4, 6), np.float32))], ["unsupported 1×1"]),
    "a driver's nothing": ([exposure(0, image=np.zeros((0, 6), np.uint8))], ["unsupported 1×1"]),
    "bad file": ([exposure(0, image=None, fault=InvalidReason.UNREADABLE)], ["unreadable 1×1"]),
    "one stamp twice": ([exposure(None, device_ns=5), exposure(None, device_ns=5)], ["frame 1", "repeated 2×1"]),
    "a stamp twice though the counter went on": (
        [exposure(1, device_ns=5), exposure(2, device_ns=5)],
        ["frame 1", "repeated 2×1"],
    ),
    "a stamp that steps back": ([exposure(1, device_ns=5_000), exposure(2, device_ns=5)], ["frame 1", "frame 2"]),
    "equal pictures that nobody compares": ([exposure(1), exposure(2)], ["frame 1", "frame 2"]),
}


@pytest.mark.parametrize(("exposures", "expected"), CASES.values(), ids=CASES)
def test_announces(exposures: list[Exposure], expected: list[str]) -> None:
    assert names(announce(exposures)) == expected


def test_equal_pictures_are_found_where_that_is_asked_for() -> None:
    pictures = [PICTURE, PICTURE.copy(), OTHER, PICTURE, PICTURE.astype(np.uint16)]
    items = announce([exposure(number, image=image) for number, image in enumerate(pictures)], find_repeats=True)
    assert names(items) == ["frame 1", "repeated 2×1", "frame 3", "frame 4", "frame 5"]


def test_an_incomplete_picture_says_how_many_rows_came() -> None:
    (item,) = announce([exposure(0, valid_rows=30)])
    assert isinstance(item, Missing)
    assert (item.reason, item.valid_rows) == (InvalidReason.INCOMPLETE, 30)


def test_an_old_picture_is_told_by_the_devices_stamp() -> None:
    clock = ManualClock()
    sequencer = make(clock=clock, stale_after_s=0.5)
    seen = []
    for frame_id, way_s in enumerate([0.1, 0.0, 0.4, 0.6]):  # how long each picture was on its way
        clock.sleep(1 - way_s)
        device_ns = clock.tick_ns()
        clock.sleep(way_s)
        captured_ns = clock.utc_ns()
        (item,) = sequencer.announce(exposure(frame_id, device_ns=device_ns, captured_ns=captured_ns))
        seen.append((names([item])[0], round((clock.tick_ns() - item.captured_tick_ns) / 1e9, 3)))
        if isinstance(item, Frame):
            assert item.clock == "camera"
            assert captured_ns - item.captured_ns == clock.tick_ns() - item.captured_tick_ns
    assert [name for name, _ in seen] == ["frame 1", "frame 2", "frame 3", "stale 4×1"]
    assert [age_s for _, age_s in seen[:3]] == pytest.approx([0.0, 0.0, 0.4], abs=1e-3)


def test_two_clocks_that_drift_apart_make_no_picture_old() -> None:
    clock = ManualClock()
    sequencer = make(clock=clock, stale_after_s=0.5)
    for frame_id in range(20_000):  # most of a day at one picture in four seconds
        clock.sleep(4)
        (item,) = sequencer.announce(exposure(frame_id, device_ns=round(clock.tick_ns() * (1 - 1e-4))))
        assert isinstance(item, Frame)


def test_a_frame_carries_its_position_and_its_lines() -> None:
    (item,) = announce([exposure(0, encoder=250, line_status=5)])
    assert isinstance(item, Frame)
    assert item.position == Position(25.0, 250)
    assert item.line_status == 5


def test_stops_at_the_ledgers_limit_even_within_a_run_of_lost_frames() -> None:
    items = announce([exposure(0), exposure(10)], max_frames=4)
    assert [type(item).__name__ for item in items] == ["Frame", "Missing"]
    assert isinstance(items[1], Missing)
    assert items[1].count == 3


def test_a_reopened_device_counts_anew() -> None:
    sequencer = make()
    first = list(sequencer.announce(exposure(500, device_ns=9)))
    sequencer.reopened()
    assert [type(item) for item in first + list(sequencer.announce(exposure(0, device_ns=9)))] == [Frame, Frame]


def test_pictures_carry_what_was_in_force_when_they_were_taken() -> None:
    clock = ManualClock()
    config = CameraBase.model_validate({"name": "top"})
    pieces = {0: Piece("A"), 10**9: Piece("B", "4711")}
    sequencer = Sequencer(config, Ledger(["top"]), clock, lambda count, tick_ns: None, pieces.__getitem__)
    items = [*sequencer.announce(exposure(1))]
    clock.sleep(1)
    items += sequencer.announce(exposure(3))
    assert [(type(item), item.piece) for item in items] == [
        (Frame, Piece("A")),
        (Missing, Piece("B", "4711")),
        (Frame, Piece("B", "4711")),
    ]
