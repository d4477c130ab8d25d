from itertools import islice
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from shadowline.errors import CameraError, CameraLost
from station.camera import SimulatedCamera
from station.camera.strip import Strip
from station.clock import ManualClock
from station.config import SimulatedConfig, SimulatedFaults
from station.frame import Exposure


def _config(rate_hz: float = 10.0, name: str = "top", **faults: Any) -> SimulatedConfig:
    return SimulatedConfig(
        type="simulated",
        name=name,
        width_px=64,
        height_px=48,
        rate_hz=rate_hz,
        defects_per_frame=1.0,
        faults=SimulatedFaults(**faults),
    )


def _ids(config: SimulatedConfig, count: int, clock: ManualClock | None = None) -> list[int | None]:
    """Return the frame ids of the first yields; None for a time-out."""
    with SimulatedCamera(config, clock or ManualClock()) as camera:
        yields = islice(camera.exposures(0.25), count)
        return [None if exposure is None else exposure.frame_id for exposure in yields]


def _copies(config: SimulatedConfig, count: int) -> list[tuple[Exposure, np.ndarray]]:
    with SimulatedCamera(config, ManualClock()) as camera:
        taken = []
        for exposure in islice(camera.exposures(1.0), count):
            assert exposure is not None
            assert exposure.image is not None
            taken.append((exposure, exposure.image.copy()))
        return taken


def test_shows_the_strip_and_tells_its_truth() -> None:
    config = _config()
    strip = Strip(64, 48, config.seed, 1.0)
    with SimulatedCamera(config, ManualClock()) as camera:
        for index, exposure in enumerate(islice(camera.exposures(1.0), 4)):
            assert exposure is not None
            assert exposure.image is not None
            image, defects = strip.frame(index)
            assert np.array_equal(exposure.image, image)
            assert camera.truth(index) == defects


def test_rate_zero_waits_for_nothing() -> None:
    clock = ManualClock()
    assert _ids(_config(rate_hz=0), 50, clock) == list(range(50))
    assert clock.tick_ns() == 0


def test_a_late_reader_gets_the_waiting_frames_at_once() -> None:
    clock = ManualClock()
    with SimulatedCamera(_config(rate_hz=10), clock) as camera:
        exposures = camera.exposures(1.0)
        next(exposures)
        clock.sleep(0.35)
        before_ns = clock.tick_ns()
        assert [exposure and exposure.frame_id for exposure in islice(exposures, 3)] == [1, 2, 3]
        assert clock.tick_ns() == before_ns
        next(exposures)
        assert clock.tick_ns() == 400_000_000


def test_lost_frames_leave_a_gap_in_the_ids() -> None:
    assert _ids(_config(lose_every=3), 6) == [0, 1, 3, 4, 6, 7]


def test_a_repeated_frame_comes_twice_with_one_id() -> None:
    assert _ids(_config(repeat_every=2), 6) == [0, 1, 1, 2, 3, 3]


def test_a_cut_frame_says_how_many_rows_are_valid() -> None:
    whole = [image for _, image in _copies(_config(), 4)]
    cut = _copies(_config(cut_every=2), 4)
    assert [exposure.valid_rows for exposure, _ in cut] == [None, 24, None, 24]
    assert np.array_equal(cut[1][1][:24], whole[1][:24])
    assert len(np.unique(cut[1][1][24:])) == 1
    assert np.array_equal(cut[2][1], whole[2])


def test_flicker_dims_frames_differently_and_repeatably() -> None:
    steady = [image.mean() for _, image in _copies(_config(), 12)]
    first = [image.mean() for _, image in _copies(_config(flicker=0.5), 12)]
    again = [image.mean() for _, image in _copies(_config(flicker=0.5), 12)]
    parts = [dim / full for dim, full in zip(first, steady, strict=True)]
    assert first == again
    assert min(parts) > 0.48
    assert max(parts) < 1.02
    assert max(parts) - min(parts) > 0.2


def test_a_freeze_is_told_by_time_outs_while_the_device_counts_on() -> None:
    clock = ManualClock()
    ids = _ids(_config(rate_hz=10, freeze_at=3, outage_s=1.0), 8, clock)
    assert ids == [0, 1, None, None, None, None, 12, 13]


def test_a_freeze_without_a_rate_loses_one_frame() -> None:
    assert _ids(_config(rate_hz=0, freeze_at=3, outage_s=0.6), 6) == [0, 1, None, None, 3, 4]


def test_time_outs_stay_bounded_where_lost_frames_follow_each_other() -> None:
    clock = ManualClock()
    assert _ids(_config(rate_hz=5, lose_every=2), 5, clock) == [0, None, 2, None, 4]
    assert clock.tick_ns() == 800_000_000


@pytest.mark.parametrize("rate_hz", [0.3, 1.0, 7.0, 50.0])
@pytest.mark.parametrize("faults", [{}, {"lose_every": 2}, {"freeze_at": 2, "outage_s": 1.1}], ids=str)
def test_no_wait_is_longer_than_the_time_out(rate_hz: float, faults: dict[str, Any]) -> None:
    clock = ManualClock()
    with SimulatedCamera(_config(rate_hz=rate_hz, **faults), clock) as camera:
        before_ns = clock.tick_ns()
        for _ in islice(camera.exposures(0.25), 40):
            assert clock.tick_ns() - before_ns <= 250_000_000
            before_ns = clock.tick_ns()


def test_an_unplugged_camera_is_away_for_the_outage_and_counts_anew() -> None:
    clock = ManualClock()
    config = _config(unplug_at=3, outage_s=2.0)
    with SimulatedCamera(config, clock) as camera:
        exposures = camera.exposures(1.0)
        assert [exposure and exposure.frame_id for exposure in islice(exposures, 2)] == [0, 1]
        with pytest.raises(CameraLost, match="unplugged at frame 2"):
            next(exposures)
    with pytest.raises(CameraLost, match="unplugged"), SimulatedCamera(config, clock):
        pass
    clock.sleep(1.9)
    with pytest.raises(CameraLost), SimulatedCamera(config, clock):
        pass
    clock.sleep(0.1)
    assert _ids(config, 5, clock) == [0, 1, 2, 3, 4]


def test_another_camera_or_another_clock_stays_plugged_in() -> None:
    clock = ManualClock()
    with SimulatedCamera(_config(unplug_at=1), clock) as camera, pytest.raises(CameraLost):
        next(camera.exposures(1.0))
    assert _ids(_config(name="bottom"), 1, clock) == [0]
    assert _ids(_config(), 1, ManualClock()) == [0]


def test_is_no_camera_before_it_is_opened() -> None:
    camera = SimulatedCamera(_config(), ManualClock())
    with pytest.raises(CameraError, match="camera top: not open"):
        camera.truth(0)
    with pytest.raises(CameraError, match="camera top: not open"):
        next(camera.exposures(1.0))


def test_losing_every_frame_is_refused() -> None:
    with pytest.raises(ValidationError, match="would lose every frame"):
        SimulatedFaults(lose_every=1)
