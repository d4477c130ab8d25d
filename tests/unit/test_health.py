import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import accumulate, count, takewhile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from calibration import Binding, CalibrationStore
from calibration.health import OpticalHealth
from calibration.health_baseline import Baseline, take_baseline
from calibration.health_limits import HealthLimits
from calibration.health_trend import Trend
from shadowline.errors import CalibrationError
from station.camera.strip import Strip
from station.command.calibrate import app
from station.frame import Frame
from station.optics import Optics as Watch
from station.optics import steps
from station.worker import Worker
from tests.optics import DUST, Fault, Optics

SMALL, WHOLE = (1024, 512), (2048, 1000)
EVERY, WITHIN_FRAMES = 20, 500
HOUR_NS = 3_600_000_000_000

Picture = NDArray[np.uint8]


@cache
def _seen(size: tuple[int, int]) -> tuple[Baseline, tuple[Picture, ...]]:
    """Return a baseline of a sound camera and samples to settle on."""
    optics = Optics(*size, seed=3)
    baseline = take_baseline(optics.frame(index) for index in range(64))
    return baseline, tuple(_samples(optics, 1000, 18 * EVERY))


def _settled(size: tuple[int, int]) -> OpticalHealth:
    baseline, samples = _seen(size)
    health = OpticalHealth(baseline, HealthLimits())
    assert not [finding for image in samples for finding in health.observe(image, 0)]
    return health


def _samples(optics: Optics, start: int, frames: int) -> Iterator[Picture]:
    indices = takewhile(lambda index: index < start + frames, accumulate(steps(EVERY), initial=start))
    return (optics.frame(index) for index in indices)


def _named_after(fault: Fault, size: tuple[int, int]) -> set[str]:
    health, optics = _settled(size), Optics(*size, seed=3)
    optics.fault = fault
    return {one.name for image in _samples(optics, 2000, WITHIN_FRAMES) for one in health.observe(image, 0)}


@pytest.mark.parametrize(
    ("fault", "name"),
    [("lamp", "lamp"), ("defocus", "focus"), ("dust", "dirt"), ("noise", "noise"), ("dead", "dead")],
)
def test_a_fault_is_told_within_500_frames_and_no_other(fault: Fault, name: str) -> None:
    assert _named_after(fault, SMALL) == {name}


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "name"), [("turn", "turn"), ("tip", "converge"), ("pan", "lean")])
def test_a_tilt_of_one_degree_is_told_within_500_frames(fault: Fault, name: str) -> None:
    assert _named_after(fault, WHOLE) == {name}


def test_a_finding_says_where_and_how_much() -> None:
    health, optics = _settled(SMALL), Optics(*SMALL, seed=3)
    optics.fault = "dust"
    (finding,) = [one for image in _samples(optics, 2000, 500) for one in health.observe(image, 7)]
    x, y = round(DUST[0] * SMALL[0]), round(DUST[1] * SMALL[1])
    spot = health.findings[0].text.split("px wide at ")[1]
    assert math.dist([float(part.split()[1]) for part in spot.split(" (")[0].split(", ")], (x, y)) < 6
    assert (finding.name, finding.value, finding.limit, finding.since_ns, finding.over) == ("dirt", 1, 0, 7, False)


def test_a_finding_ends_when_its_cause_is_gone() -> None:
    health, optics = _settled(SMALL), Optics(*SMALL, seed=3)
    optics.fault = "lamp"
    told = [one for image in _samples(optics, 2000, 500) for one in health.observe(image, 1)]
    optics.fault = ""
    told += [one for image in _samples(optics, 4000, 500) for one in health.observe(image, 2)]
    assert [(one.name, one.over, one.since_ns) for one in told] == [("lamp", False, 1), ("lamp", True, 1)]
    assert told[0].text.endswith("% of its baseline (limit 92 %)")
    assert not health.findings


def test_nothing_is_told_of_a_sound_strip() -> None:
    strip, rng = Strip(*SMALL, seed=5, defects_per_frame=3), np.random.default_rng(5)

    def frame(index: int) -> Picture:
        return np.asarray(cv2.convertScaleAbs(strip.frame(index)[0], alpha=1 - 0.02 * rng.random()), np.uint8)

    health = OpticalHealth(take_baseline(frame(index) for index in range(64)), HealthLimits())
    index = 0
    for _, step in zip(range(400), steps(EVERY), strict=False):
        index += step
        assert not health.observe(frame(index), index)
    assert {"lamp", "lean", "uneven", "focus", "noise", "turn", "converge", "dirt", "dead"} == set(health.figures)
    assert health.samples == 399


def test_a_strip_that_stands_teaches_nothing() -> None:
    health, optics = _settled(SMALL), Optics(*SMALL, seed=3)
    before = health.samples
    assert not [one for _ in range(30) for one in health.observe(optics.frame(2000), 0)]
    assert health.samples == before + 1  # the first of them was not yet known to stand


def test_a_plate_tells_the_noise_between_its_frames() -> None:
    optics = Optics(*SMALL, seed=3)
    baseline = take_baseline(optics.frame(7) for _ in range(24))
    assert baseline.still
    variance = baseline.noise_offset + baseline.noise_slope * baseline.level
    assert variance**0.5 == pytest.approx(2.4, rel=0.05)
    health = OpticalHealth(baseline, HealthLimits())
    assert not [one for _ in range(20) for one in health.observe(optics.frame(7), 0)]
    assert health.figures["noise"].value == pytest.approx(100, abs=5)
    assert "dirt" not in health.figures


def test_less_light_has_less_shot_noise() -> None:
    rng = np.random.default_rng(0)
    surface = Optics(*SMALL, seed=3, defects_per_frame=0).frame(1).astype(np.float64)
    surface = np.asarray(cv2.GaussianBlur(surface, (0, 0), 2.0))

    def shot(light: float) -> Picture:
        return np.clip(rng.poisson(surface * light * 4) / 4, 0, 255).astype(np.uint8)

    health = OpticalHealth(take_baseline(shot(1.0) for _ in range(24)), HealthLimits())
    for _ in range(20):
        health.observe(shot(0.6), 0)
    assert health.figures["noise"].value == pytest.approx(100, abs=6)


def test_sixteen_bits_are_judged_as_eight() -> None:
    baseline, samples = _seen(SMALL)
    plain, deep = OpticalHealth(baseline, HealthLimits()), OpticalHealth(baseline, HealthLimits())
    for image in samples:
        plain.observe(image, 0)
        deep.observe(image.astype(np.uint16) << 8, 0)
    assert {name: figure.value for name, figure in deep.figures.items()} == pytest.approx(
        {name: figure.value for name, figure in plain.figures.items()}, abs=0.5
    )


@pytest.mark.parametrize("most_levels", [1, 4])
def test_the_lamp_off_is_told_as_such(most_levels: int) -> None:
    health, rng = _settled(SMALL), np.random.default_rng(0)
    dark = [rng.integers(0, most_levels, (512, 1024), np.uint8) for _ in range(20)]
    assert {one.name for image in dark for one in health.observe(image, 0)} == {"lamp"}
    assert "% of its baseline (limit 92 %)" in health.findings[0].text


@pytest.mark.parametrize("loss", [0.0, 20.0])
def test_ageing_is_the_loss_in_1000_hours(loss: float) -> None:
    trend, rng = Trend(), np.random.default_rng(1)
    for hour in range(241):
        assert trend.loss_percent is None
        for part in range(4):
            coil = 5 * rng.random() if rng.random() < 0.2 else 0  # some coils are brighter
            trend.add(100 + coil - loss * hour / 1000, hour * HOUR_NS + part)
    assert trend.loss_percent == pytest.approx(loss, abs=4)


def test_a_baseline_comes_back_from_its_record(tmp_path: Path) -> None:
    baseline, _ = _seen(SMALL)
    store = CalibrationStore(tmp_path)
    binding = Binding(camera="test", width_px=SMALL[0], height_px=SMALL[1])
    record = store.save("health", "cam1", binding, baseline.figures, baseline.arrays, {"target": "strip"})
    again = Baseline.of(record.figures, store.arrays(record), SMALL)
    assert again.figures == baseline.figures
    assert np.array_equal(again.shape, baseline.shape)
    assert np.allclose(again.dirt, baseline.dirt, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("shape", np.ones((8, 16), np.float32), "arrays are damaged"),
        ("shape", np.zeros((16, 16), np.float32), "arrays are damaged"),
        ("dirt", np.full((128, 256), np.nan, np.float32), "arrays are damaged"),
        ("dead", np.zeros((3, 5), np.int32), "arrays are damaged"),
        ("level", 0.0, "figures are damaged"),
        ("level", None, "figures are damaged"),
        ("still", None, "lacks 'still'"),
        ("shape", None, "lacks 'shape'"),
    ],
)
def test_a_damaged_baseline_is_refused(name: str, value: object, words: str) -> None:
    baseline, _ = _seen(SMALL)
    content = {**baseline.figures, **baseline.arrays} | {name: value}
    content = {key: one for key, one in content.items() if one is not None}
    numbers = {key: one for key, one in content.items() if isinstance(one, float)}
    arrays = {key: one for key, one in content.items() if isinstance(one, np.ndarray)}
    with pytest.raises(CalibrationError, match=words):
        Baseline.of(numbers, arrays, SMALL)


def _plain(level: int, count: int) -> Iterator[Picture]:
    rng = np.random.default_rng(0)
    return (rng.integers(level, level + 4, (512, 1024), np.uint8) for _ in range(count))


def _stopping() -> Iterator[Picture]:
    optics = Optics(*SMALL, seed=3)
    yield from (optics.frame(min(index, 12)) for index in range(24))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (lambda: _plain(100, 5), "17 frames or more, not 5"),
        (lambda: iter(()), "17 frames or more, not 0"),
        (lambda: _plain(1, 20), "mean level is 3 of 255"),
        (lambda: _plain(251, 20), "mean level is 25"),
        (_stopping, "stood still in 11 of 23"),
        (lambda: iter([np.zeros((512, 1024), np.uint8), np.zeros((512, 1000), np.uint8)]), "1000×512"),
        (lambda: iter([np.zeros((100, 100), np.uint8)] * 20), "256×128 px or more"),
    ],
)
def test_frames_that_are_no_baseline_are_refused(images: object, words: str) -> None:
    assert callable(images)
    with pytest.raises(CalibrationError, match=words):
        take_baseline(images())


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(CalibrationError, match="640×480 px and the baseline 1024×512"):
        _settled(SMALL).observe(np.zeros((480, 640), np.uint8), 0)


_seconds = itertools.count()


def _frame(image: Picture) -> Frame:
    return Frame("cam1", 1, image, 0, next(_seconds) * 1_000_000_000)


def _wait(until: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_the_watch_keeps_a_complaint_while_it_lasts() -> None:
    watch, optics = Watch({"cam1": _seen(SMALL)[0]}, HealthLimits(), 1), Optics(*SMALL, seed=3)

    def show(fault: Fault, until: Callable[[], bool]) -> None:
        optics.fault = fault
        frames = (_frame(optics.frame(index)) for index in count(1000))

        def offer() -> bool:
            watch.offer(next(frames))
            return until()

        _wait(offer)

    with Worker("optics", watch.run, watch.stop):
        show("lamp", lambda: watch.complaint("cam1") != "")
        assert watch.complaint("cam1").startswith("optics: lamp 9")
        assert watch.complaint("other") == ""
        assert watch.figures()["cam1"]["lamp"].value < 92
        show("", lambda: watch.complaint("cam1") == "")


def test_the_watch_takes_one_sample_at_a_time_and_only_of_its_cameras() -> None:
    watch, optics = Watch({"cam1": _seen(SMALL)[0]}, HealthLimits(), 1), Optics(*SMALL, seed=3)
    kept, other = _frame(optics.frame(1)), _frame(np.zeros((480, 640), np.uint8))
    watch.offer(replace(other, camera="other"))
    watch.offer(kept)
    watch.offer(other)  # nobody has taken the first one yet, so this one is left
    with Worker("optics", watch.run, watch.stop):
        pass
    assert list(watch.figures()) == ["cam1"]


def test_a_frame_that_does_not_fit_ends_the_watch_of_its_camera() -> None:
    watch = Watch({"cam1": _seen(SMALL)[0]}, HealthLimits(), 1)
    with Worker("optics", watch.run, watch.stop):
        watch.offer(_frame(np.zeros((480, 640), np.uint8)))
        _wait(lambda: not watch.figures())
        watch.offer(_frame(np.zeros((480, 640), np.uint8)))
    assert watch.complaint("cam1") == ""


CONFIG = """
[[camera]]
name = "cam1"
type = "simulated"
width_px = 640
height_px = 320
seed = {seed}
rate_hz = 0
[camera.faults]
flicker = {flicker}
[calibration]
folder = "kept"
"""


@pytest.mark.slow
def test_the_command_takes_a_baseline_and_holds_the_camera_against_it(tmp_path: Path) -> None:
    path, run = tmp_path / "config.toml", CliRunner()

    def check(*words: str, flicker: float = 0.0) -> tuple[int, str]:
        path.write_text(CONFIG.format(seed=1, flicker=flicker))
        result = run.invoke(app, ["check", "cam1", "-c", str(path), *words])
        return result.exit_code, f"{result.output}{result.exception}"

    assert "no baseline of a strip" in check()[1]
    assert "cam1 health 1 is in use" in check("--baseline")[1]
    assert check("--json")[0] == 0
    code, words = check(flicker=0.4)
    assert code == 1
    assert "!  lamp 8" in words
    assert "good" in check("--repeat", "2")[1]
    assert "no baseline of a plate" in check("--plate")[1]
    assert "the surface moves" in check("--plate", "--baseline")[1]
