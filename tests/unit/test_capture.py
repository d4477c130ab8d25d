"""Capture against a scripted camera: what it opens, reports and queues, without a thread and without waiting."""

import threading
from collections.abc import Iterator
from typing import Self

import numpy as np
import pytest

from shadowline.errors import CameraError, CameraLost
from station.capture import Capture
from station.clock import ManualClock
from station.config import CameraBase
from station.frame import Exposure, Frame, Missing
from station.frame_queue import FrameQueue
from station.ledger import Ledger

Step = Exposure | None | Exception


class ScriptedCamera:
    """Plays one list of steps for each time it is opened; a time-out takes a second of the clock."""

    features: frozenset[str] = frozenset()

    def __init__(self, plays: list[list[Step]], clock: ManualClock) -> None:
        self._plays = plays
        self._clock = clock
        self.closed = 0

    def __enter__(self) -> Self:
        if self._plays and isinstance(self._plays[0], Exception):
            raise self._plays.pop(0)  # type: ignore[misc]
        return self

    def __exit__(self, *failure: object) -> None:
        self.closed += 1

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        for step in self._plays.pop(0):
            if isinstance(step, Exception):
                raise step
            self._clock.sleep(1.0 if step is None else 0.01)
            yield step


class Rig:
    """A capture with everything it needs, and what came of it."""

    def __init__(self, plays: list[list[Step]], max_frames: int | None = None) -> None:
        self.clock = ManualClock()
        self.ledger = Ledger(["top"], max_frames)
        self.queue = FrameQueue(["top"], 100)
        self.stop = threading.Event()
        self.states: list[str] = []
        self.steps = 0
        self.camera = ScriptedCamera(plays, self.clock)
        config = CameraBase(name="top", reconnect_s=1e-6, offline_after_s=2.0)
        self.capture = Capture(
            config, lambda: self.camera, self.queue, self.ledger, self.clock, self.report, self.count_step, self.stop
        )

    def report(self, camera: str, state: str, detail: str) -> None:
        self.states.append(f"{state}: {detail}" if detail else state)

    def count_step(self) -> None:
        self.steps += 1

    def run(self) -> list[Frame | Missing]:
        self.capture.run(lambda: None)
        self.queue.close()
        return list(iter(self.queue.get, None))


def exposure(frame_id: int) -> Exposure:
    return Exposure(np.zeros((4, 4), np.uint8), frame_id, 0)


END = "ended: the source is at its end"
CASES = {
    "plain": ([[exposure(0), exposure(1)]], 2, ["online", END]),
    "nothing to see": ([[]], 0, [END]),
    "lost and back": (
        [[exposure(0), CameraLost("unplugged")], [exposure(0), exposure(1)]],
        3,
        ["online", "offline: unplugged", "online", END],
    ),
    "away at first": ([CameraLost("not there"), [exposure(0)]], 1, ["offline: not there", "online", END]),
    "a driver's own error": (
        [[exposure(0), OSError("bus")], [exposure(0)]],
        2,
        ["online", "offline: bus", "online", END],
    ),
    "silent": ([[exposure(0), None, None, None, None]], 1, ["online", "offline: no picture for 2.0 s", END]),
    "silent and back": (
        [[exposure(0), None, None, exposure(1)]],
        2,
        ["online", "offline: no picture for 2.0 s", "online", END],
    ),
    "a short pause": ([[exposure(0), None, exposure(1)]], 2, ["online", END]),
}


@pytest.mark.parametrize(("plays", "frames", "states"), CASES.values(), ids=CASES)
def test_reports_each_change_once_and_goes_on(plays: list[list[Step]], frames: int, states: list[str]) -> None:
    rig = Rig(plays)
    items = rig.run()
    assert [type(item) for item in items] == [Frame] * frames
    assert rig.states == states
    assert rig.ledger.announced == frames


def test_a_camera_that_can_not_be_used_as_configured_fails_the_start() -> None:
    with pytest.raises(CameraError, match="no such pixel format"):
        Rig([CameraError("no such pixel format")]).run()  # type: ignore[list-item]


def test_once_it_worked_even_a_refusal_is_waited_out() -> None:
    rig = Rig([[exposure(0), CameraLost("gone")], CameraError("busy"), [exposure(0)]])  # type: ignore[list-item]
    assert len(rig.run()) == 2
    assert rig.states == ["online", "offline: gone", "offline: busy", "online", END]


def test_stops_at_the_ledgers_limit_and_when_told() -> None:
    assert len(Rig([[exposure(index) for index in range(9)]], max_frames=4).run()) == 4
    rig = Rig([[exposure(0)]])
    rig.stop.set()
    assert rig.run() == []


def test_closes_the_camera_each_time() -> None:
    rig = Rig([[CameraLost("gone")], [exposure(0)]])
    rig.run()
    assert rig.camera.closed == 2


def test_a_step_of_the_utc_clock_is_counted_and_costs_no_frame() -> None:
    rig = Rig([[exposure(0), exposure(1), exposure(2)]])
    plain = rig.camera.exposures

    def stepping(timeout_s: float) -> Iterator[Exposure | None]:
        for index, one in enumerate(plain(timeout_s)):
            if index == 1:
                rig.clock.step_utc(-3600)
            yield one

    rig.camera.exposures = stepping  # type: ignore[method-assign]
    frames = rig.run()
    assert rig.steps == 1
    ticks = [frame.captured_tick_ns for frame in frames]
    assert len(frames) == 3
    assert ticks == sorted(ticks)
