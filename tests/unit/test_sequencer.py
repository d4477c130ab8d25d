import numpy as np
import pytest

from station.clock import ManualClock
from station.frame import Exposure, Frame, InvalidReason, Missing
from station.ledger import Ledger
from station.sequencer import MAX_JUMP, Sequencer

PICTURE = np.zeros((4, 6), np.uint8)


def exposure(frame_id: int | None, **changes: object) -> Exposure:
    return Exposure(**({"image": PICTURE, "frame_id": frame_id, "captured_ns": 7} | changes))  # type: ignore[arg-type]


def announce(exposures: list[Exposure], max_frames: int | None = None) -> list[Frame | Missing]:
    sequencer = Sequencer("top", Ledger(["top"], max_frames), ManualClock())
    return [item for one in exposures for item in sequencer.announce(one)]


CASES = {
    "in order": ([exposure(0), exposure(1)], ["frame 1", "frame 2"]),
    "no counter": ([exposure(None), exposure(None)], ["frame 1", "frame 2"]),
    "two lost": ([exposure(5), exposure(8)], ["frame 1", "lost 2×2", "frame 4"]),
    "repeated": ([exposure(5), exposure(5), exposure(6)], ["frame 1", "repeated 2×1", "frame 3"]),
    "an old one again": ([exposure(5), exposure(6), exposure(5)], ["frame 1", "frame 2", "repeated 3×1"]),
    "counter anew": ([exposure(MAX_JUMP * 3), exposure(0), exposure(1)], ["frame 1", "frame 2", "frame 3"]),
    "short": ([exposure(0, valid_rows=3), exposure(1, valid_rows=4)], ["incomplete 1×1", "frame 2"]),
    "a driver's colour": ([exposure(0, image=np.zeros((4, 6, 3), np.uint8))], ["unsupported 1×1"]),
    "a driver's floats": ([exposure(0, image=np.zeros((4, 6), np.float32))], ["unsupported 1×1"]),
    "a driver's nothing": ([exposure(0, image=np.zeros((0, 6), np.uint8))], ["unsupported 1×1"]),
    "bad file": ([exposure(0, image=None, fault=InvalidReason.UNREADABLE)], ["unreadable 1×1"]),
}


@pytest.mark.parametrize(("exposures", "expected"), CASES.values(), ids=CASES)
def test_announces(exposures: list[Exposure], expected: list[str]) -> None:
    names = [
        f"frame {item.sequence}" if isinstance(item, Frame) else f"{item.reason} {item.sequence}×{item.count}"
        for item in announce(exposures)
    ]
    assert names == expected


def test_stops_at_the_ledgers_limit_even_within_a_run_of_lost_frames() -> None:
    items = announce([exposure(0), exposure(10)], max_frames=4)
    assert [type(item).__name__ for item in items] == ["Frame", "Missing"]
    assert isinstance(items[1], Missing)
    assert items[1].count == 3


def test_a_reopened_device_counts_anew() -> None:
    sequencer = Sequencer("top", Ledger(["top"]), ManualClock())
    first = list(sequencer.announce(exposure(500)))
    sequencer.reopened()
    assert [type(item) for item in first + list(sequencer.announce(exposure(0)))] == [Frame, Frame]
