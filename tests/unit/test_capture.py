"""Capture against a scripted camera: what it opens, reports and queues, without a thread and without waiting."""

import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Self

import numpy as np
import pytest

from shadowline.errors import CameraError, CameraLost
from station.capture import Capture
from station.clock import ManualClock
from station.config import CameraBase
from station.event import Outage
from station.frame import Exposure, Frame, Image, Missing, Position
from station.frame_queue import FrameQueue
from station.ledger import Ledger

Step = Exposure | None | Exception


class ScriptedCamera:
    """Plays one list of steps for each time it is opened; a time-out takes a second of the clock."""

    features: frozenset[str] = frozenset()
    identity = ""
    counters: Mapping[str, int] = MappingProxyType({"underruns": 4})

    def __init__(self, plays: list[list[Step]], clock: ManualClock) -> None:
        self.identities: list[str] = []
        self.on_close: Callable[[], None] = lambda: None
        self._plays = plays
        self._clock = clock
        self.closed = 0

    def __enter__(self) -> Self:
        if self._plays and isinstance(self._plays[0], Exception):
            raise self._plays.pop(0)  # type: ignore[misc]
        if self.identities:
            self.identity = self.identities.pop(0)
            if not self._plays[0]:
                self._plays.pop(0)
        return self

    def __exit__(self, *failure: object) -> None:
        self.closed += 1
        self.on_close()

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        for step in self._plays.pop(0):
            if isinstance(step, Exception):
                raise step
            self._clock.sleep(1.0 if step is None else 0.01)
            yield step


class Rig:
    """A capture with everything it needs, and what came of it. A count of the encoder is a millimetre."""

    def __init__(self, plays: list[list[Step]], max_frames: int | None = None, **settings: object) -> None:
        self.clock = ManualClock()
        self.ledger = Ledger(["top"], max_frames)
        self.queue = FrameQueue(["top"], 100)
        self.stop = threading.Event()
        self.states: list[str] = []
        self.outages: list[Outage] = []
        self.steps = 0
        self.complaint = ""
        self.camera = ScriptedCamera(plays, self.clock)
        given = {"name": "top", "reconnect_s": 1e-6, "offline_after_s": 2.0} | settings
        self.capture = Capture(
            CameraBase.model_validate(given),
            lambda: self.camera,
            self.queue,
            self.ledger,
            self.clock,
            self.report,
            self.count_step,
            self.stop,
            lambda count, tick_ns: None if count is None else Position(float(count), count),
            complaint=lambda: self.complaint,
        )

    def report(self, camera: str, state: str, reason: str, outage: Outage | None) -> None:
        self.states.append(f"{state}: {reason}" if reason else state)
        if outage is not None:
            self.outages.append(outage)

    def count_step(self) -> None:
        self.steps += 1

    def run(self) -> list[Frame | Missing]:
        self.capture.run(lambda: None)
        self.queue.close()
        return list(iter(self.queue.get, None))


def exposure(frame_id: int, image: Image | None = None, encoder: int | None = None) -> Exposure:
    return Exposure(np.zeros((4, 4), np.uint8) if image is None else image, frame_id, 0, encoder=encoder)


END = "ended: the source is at its end"
CASES = {
    "plain": ([[exposure(0), exposure(1)]], 2, ["online", END]),
    "nothing to see": ([[]], 0, [END]),
    "lost and back": (
        [[exposure(0), CameraLost("unplugged")], [exposure(0), exposure(1)]],
        3,
        ["online", "offline: unplugged", "online: back after 0.0 s unseen", END],
    ),
    "away at first": (
        [CameraLost("not there"), [None, exposure(0)]],
        1,
        ["offline: not there", "online: back after 1.0 s unseen", END],
    ),
    "a driver's own error": (
        [[exposure(0), OSError("bus")], [exposure(0)]],
        2,
        ["online", "offline: bus", "online: back after 0.0 s unseen", END],
    ),
    "silent, opened anew and back": (
        [[exposure(0), None, None], [None, exposure(0)]],
        2,
        ["online", "offline: camera top: no picture for 2.0 s", "online: back after 3.0 s unseen", END],
    ),
    "silent for long": (
        [[exposure(0), None, None], [None, None], [None, exposure(0)]],
        2,
        ["online", "offline: camera top: no picture for 2.0 s", "online: back after 5.0 s unseen", END],
    ),
    "a short pause": ([[exposure(0), None, exposure(1)]], 2, ["online", END]),
    "frames missing": ([[exposure(0), exposure(2)]], 2, ["online", "degraded: of the last 2 frames 1 lost", END]),
}


@pytest.mark.parametrize(("plays", "frames", "states"), CASES.values(), ids=CASES)
def test_reports_each_change_once_and_goes_on(plays: list[list[Step]], frames: int, states: list[str]) -> None:
    rig = Rig(plays)
    items = rig.run()
    assert [type(item) for item in items if isinstance(item, Frame)] == [Frame] * frames
    assert rig.states == states
    assert rig.ledger.announced == sum(1 if isinstance(item, Frame) else item.count for item in items)


def test_a_camera_that_can_not_be_used_as_configured_fails_the_start() -> None:
    with pytest.raises(CameraError, match="no such pixel format"):
        Rig([CameraError("no such pixel format")]).run()  # type: ignore[list-item]


def test_once_it_worked_even_a_refusal_is_waited_out() -> None:
    rig = Rig([[exposure(0), CameraLost("gone")], CameraError("busy"), [exposure(0)]])  # type: ignore[list-item]
    assert len(rig.run()) == 2
    assert rig.states == ["online", "offline: gone", "offline: busy", "online: back after 0.0 s unseen", END]


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


def test_an_outage_is_told_in_seconds_and_millimetres() -> None:
    plays: list[list[Step]] = [[exposure(0, encoder=100), None, None], [exposure(0, encoder=350)]]
    rig = Rig(plays)
    rig.run()
    assert rig.outages == [Outage(2.01, 250.0)]
    assert (rig.capture.outages, rig.capture.outage_s) == (1, pytest.approx(2.01))
    assert "online: back after 2.0 s and 250 mm unseen" in rig.states


def test_another_device_in_the_old_ones_place_is_refused_until_the_right_one_is_back() -> None:
    rig = Rig([[exposure(0), CameraLost("gone")], [], [exposure(0)]])
    rig.camera.identities = ["acme 7", "acme 8", "acme 7"]
    assert len(rig.run()) == 2
    assert "offline: camera top: acme 8 answers in the place of acme 7" in rig.states
    assert rig.states[-2:] == ["online: back after 0.0 s unseen", END]


def test_a_loss_is_told_before_the_camera_is_closed() -> None:
    rig, seen = Rig([[exposure(0), CameraLost("gone")], []]), []
    rig.camera.on_close = lambda: seen.append(rig.states[-1])
    rig.run()
    assert seen == ["offline: gone", END]


def test_what_others_find_wrong_makes_it_degraded_and_each_change_is_told() -> None:
    rig = Rig([[]])

    def complaining(timeout_s: float) -> Iterator[Exposure | None]:
        for number, complaint in enumerate(["", "optics: lamp", "optics: lamp", "optics: lamp; dirt", ""]):
            rig.complaint = complaint
            yield exposure(number)

    rig.camera.exposures = complaining  # type: ignore[method-assign]
    rig.run()
    assert rig.states == ["online", "degraded: optics: lamp", "degraded: optics: lamp; dirt", "online", END]


def test_a_triggered_camera_may_be_silent_for_ever() -> None:
    rig = Rig([[exposure(0), *[None] * 1000, exposure(1)]], offline_after_s=0)
    assert len(rig.run()) == 2
    assert rig.states == ["online", END]


def test_a_slow_camera_is_not_taken_for_a_silent_one() -> None:
    rig = Rig([[exposure(0), None, exposure(1), None, exposure(2), None, exposure(3)]], offline_after_s=None)
    assert len(rig.run()) == 4
    assert rig.states == ["online", END]


def test_a_driver_that_does_not_come_back_is_told_by_another_thread() -> None:
    rig = Rig([[]])

    def stuck(timeout_s: float) -> Iterator[Exposure | None]:
        yield exposure(0)
        rig.capture.watch()
        rig.clock.sleep(0.7)
        rig.capture.watch()
        rig.clock.sleep(0.2)
        rig.capture.watch()
        yield exposure(1)

    rig.camera.exposures = stuck  # type: ignore[method-assign]
    rig.run()
    assert rig.states == [
        "online",
        "offline: camera top: its driver does not answer",
        "online: back after 0.9 s unseen",
        END,
    ]


def test_the_drivers_counts_are_kept() -> None:
    rig = Rig([[exposure(0)]])
    rig.clock.sleep(5)
    rig.run()
    assert rig.capture.counters == {"underruns": 4}


def test_blocks_overlap_and_begin_so_much_earlier() -> None:
    blocks = [exposure(number, np.full((4, 2), number, np.uint8), encoder=40 * number) for number in range(3)]
    frames = Rig([[*blocks, exposure(4, np.full((4, 2), 4, np.uint8))]], overlap_rows=2, pitch_mm=10).run()
    rows = [frame.image[:, 0].tolist() if isinstance(frame, Frame) else frame.reason.value for frame in frames]
    assert rows == [[0] * 4, [0, 0, 1, 1, 1, 1], [1, 1, 2, 2, 2, 2], "lost", [4] * 4]
    first, second = frames[0], frames[1]
    assert isinstance(first, Frame)
    assert isinstance(second, Frame)
    assert (first.overlap_rows, second.overlap_rows) == (0, 2)
    assert (first.position, second.position) == (Position(0.0, 0), Position(20.0, 40))


@pytest.mark.parametrize("change", [lambda image: image[:, :1].copy(), lambda image: image.astype(np.uint16)])
def test_blocks_that_do_not_fit_on_each_other_are_not_joined(change: Callable[[Image], Image]) -> None:
    image = np.zeros((4, 2), np.uint8)
    frames = Rig([[exposure(0, image), exposure(1, change(image))]], overlap_rows=2).run()
    assert [frame.overlap_rows for frame in frames if isinstance(frame, Frame)] == [0, 0]
