"""A flat field is the unevenness that a rendered camera was given; bad frames are refused with what to do."""

from collections.abc import Callable

import numpy as np
import pytest

from calibration import FlatField
from calibration.flat_field_fit import FlatFieldFit, fit_flat_field, linearity_error
from calibration.frame_mean import FrameMean
from shadowline.errors import CalibrationError
from tests.lit import LitCamera

HEIGHT, WIDTH = 160, 240


def uneven(camera: LitCamera, fit: FlatFieldFit, level: float) -> float:
    """Return how uneven an even sheet is after the correction, in grey levels RMS."""
    return float(((camera.sheet(level) * camera.gain + camera.dark - fit.dark) / fit.gain).std())


@pytest.mark.parametrize(("moving", "count"), [(False, 32), (True, 96)])
@pytest.mark.parametrize("wide", [False, True])
def test_an_even_sheet_is_even_within_a_level(moving: bool, count: int, wide: bool) -> None:
    camera = LitCamera(HEIGHT, WIDTH)
    fit = fit_flat_field(camera.mean_of(count, 140, moving, wide), camera.mean_of(16, 0, wide=wide))
    for level in (60.0, 140.0, 200.0):
        assert (camera.sheet(level) * camera.gain).std() > 0.07 * level
        assert uneven(camera, fit, level) <= 1.0
    assert fit.figures["noise_levels"] < 0.8
    assert fit.gain.mean() == pytest.approx(1, abs=1e-5)


def test_the_gain_at_its_level_holds_for_a_surface_a_fifth_brighter_or_darker() -> None:
    camera = LitCamera(HEIGHT, WIDTH)
    fit = fit_flat_field(camera.mean_of(32, 140), camera.mean_of(16, 0))
    gain = FlatField.of({"gain": fit.gain, "dark": fit.dark}, fit.level).gain
    for level in (112, 140, 168):
        assert ((camera.sheet(level) * camera.gain + camera.dark) / gain).std() <= 1.0


def test_columns_share_a_gain_where_rows_are_lines_of_the_strip() -> None:
    camera = LitCamera(HEIGHT, WIDTH)
    camera.gain[:] = camera.gain[:1]
    camera.dark[:] = camera.dark[:1]
    fit = fit_flat_field(camera.mean_of(32, 140, moving=True), camera.mean_of(16, 0), columns=True)
    assert fit.gain.shape == fit.dark.shape == (1, WIDTH)
    assert uneven(camera, fit, 140) <= 0.5


def test_dead_and_hot_pixels_are_counted_and_take_after_their_neighbours() -> None:
    camera = LitCamera(HEIGHT, WIDTH, pattern=0)
    sound = camera.gain.copy()
    camera.gain[20, 30] = camera.gain[80, 100:103] = 0
    camera.dark[50, 60] = 90
    camera.gain[:, 200] = 0
    fit = fit_flat_field(camera.mean_of(32, 120), camera.mean_of(16, 0))
    assert fit.figures["dead_pixels"] == 4 + HEIGHT
    assert fit.figures["hot_pixels"] == 1
    broken = (camera.gain == 0) | (camera.dark == 90)
    assert np.abs(fit.gain / sound - 1)[broken].max() < 0.15
    assert fit.dark.max() < 8


def still(
    camera: LitCamera, levels: list[float], shade: Callable[[int], np.ndarray | float] = lambda index: 1
) -> FrameMean:
    mean = FrameMean(len(levels))
    for index, level in enumerate(levels):
        mean.add(camera.expose(np.asarray(camera.sheet(level) * shade(index), np.float32)))
    return mean


def pulled_away(index: int) -> np.ndarray:
    """Return the light on a sheet that was not even and was moved half-way."""
    down = np.linspace(0.8, 1.2, HEIGHT)[:, None]
    return np.asarray(down if index < 16 else down[::-1])


def leaking(index: int) -> np.ndarray:
    return np.asarray(np.linspace(0, 2, WIDTH)[None])


BAD = {
    "dark frames are not dark: mean level": lambda camera: (still(camera, [140.0] * 32), still(camera, [60.0] * 16)),
    "light falls into the dark frames": lambda camera: (
        still(camera, [140.0] * 32),
        still(camera, [9.0] * 16, leaking),
    ),
    "is saturated": lambda camera: (still(camera, [230.0] * 32), None),
    "too dim: 30 levels": lambda camera: (still(camera, [30.0] * 32), still(camera, [0.0] * 16)),
    "the light changes by": lambda camera: (still(camera, [100.0, 140.0] * 16), None),
    "too few: .* take [0-9]+ or more": lambda camera: (camera.mean_of(16, 140, moving=True), None),
    "differ by .* over whole areas": lambda camera: (still(camera, [140.0] * 32, pulled_away), None),
    "dark frames of .* and bright ones of": lambda camera: (
        still(camera, [140.0] * 32),
        LitCamera(HEIGHT, WIDTH - 1).mean_of(16, 0),
    ),
}


@pytest.mark.parametrize("words", BAD)
def test_bad_frames_are_refused_with_what_to_do(words: str) -> None:
    bright, dark = BAD[words](LitCamera(HEIGHT, WIDTH))
    with pytest.raises(CalibrationError, match=words):
        fit_flat_field(bright, dark)


def test_a_broken_sensor_is_refused() -> None:
    camera = LitCamera(HEIGHT, WIDTH)
    camera.gain[::7, ::7] = 0
    with pytest.raises(CalibrationError, match="pixels are dead or hot"):
        fit_flat_field(camera.mean_of(32, 140))
    camera = LitCamera(HEIGHT, WIDTH)
    camera.gain[40:52, 40:52] = 0
    with pytest.raises(CalibrationError, match="dead or hot pixels in a row"):
        fit_flat_field(camera.mean_of(32, 140))


def test_frames_of_another_size_or_type_are_refused() -> None:
    mean = FrameMean(16)
    mean.add(np.zeros((20, 30), np.uint8))
    for other in (np.zeros((20, 31), np.uint8), np.zeros((20, 30), np.uint16)):
        with pytest.raises(CalibrationError, match=r"frame 2 is 3\d×20 uint"):
            mean.add(other)


def test_frames_that_did_not_come_are_missed() -> None:
    mean = FrameMean(32)
    for _ in range(10):
        mean.add(np.full((20, 30), 100, np.uint8))
    with pytest.raises(CalibrationError, match="10 frames came, of 32"):
        fit_flat_field(mean)


def test_the_mean_leaves_out_what_passes_by() -> None:
    mean = FrameMean(32)
    for index in range(32):
        frame = np.full((20, 30), 100, np.uint8)
        frame[:, index % 30] = 0
        frame[index % 20] = 255
        mean.add(frame)
    for half in mean.halves():
        assert np.abs(half - 100).max() < 1e-3


@pytest.mark.parametrize(
    ("curve", "least", "most"),
    [(1.0, 0.0, 0.001), (0.8, 0.01, 0.1), (0.45, 0.05, 0.3)],
    ids=["linear", "bent", "gamma"],
)
def test_a_tone_curve_shows_as_an_error_of_linearity(curve: float, least: float, most: float) -> None:
    levels = {us: 4 + 200 * (us / 1000) ** curve for us in (100.0, 300.0, 600.0, 1000.0)}
    assert least <= linearity_error(levels) <= most


@pytest.mark.parametrize("levels", [{100.0: 20.0, 200.0: 40.0}, {100.0: 20.0, 200.0: 40.0, 300.0: 40.0}])
def test_linearity_needs_three_rising_exposures(levels: dict[float, float]) -> None:
    with pytest.raises(CalibrationError, match="three exposures or more"):
        linearity_error(levels)
