"""A flat field is a gain that a working camera can have, for the frames that it is made for."""

import numpy as np
import pytest

from calibration import FlatField
from shadowline.errors import CalibrationError


def gain(height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 1.5, (height, width)).astype(np.float32)


def test_gain_is_normalised_to_mean_one_and_read_only() -> None:
    field = FlatField(gain() * 37)
    assert field.gain.dtype == np.float32
    assert field.gain.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert not field.gain.flags.writeable


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.full((4, 4), np.nan, np.float32), "not finite"),
        (np.zeros((4, 4), np.float32), "no light"),
        (np.ones(4, np.float32), "shape"),
        (np.ones((4, 4), np.uint8), "float32"),
        (np.where(np.eye(20) > 0, 0.0, 1.0).astype(np.float32), "dead pixels"),
    ],
)
def test_an_impossible_gain_is_refused(bad: np.ndarray, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        FlatField(bad)


def test_what_a_pixel_shows_in_the_dark_is_part_of_its_answer_at_the_level_it_was_made_at() -> None:
    dark = np.zeros((30, 40), np.float32)
    dark[3, 5] = 10
    plain, dotted = (
        FlatField.of({"gain": gain(), "dark": 0 * dark}, 100),
        FlatField.of({"gain": gain(), "dark": dark}, 100),
    )
    assert dotted.gain[3, 5] - plain.gain[3, 5] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("arrays", "level", "words"),
    [
        ({"gain": gain()}, 100.0, "without 'dark'"),
        ({"gain": gain(), "dark": gain(3, 3)}, 100.0, "take it again"),
        ({"gain": gain(), "dark": gain()}, 0.0, "take it again"),
        ({"gain": gain(), "dark": gain() * np.nan}, 100.0, "not finite"),
    ],
)
def test_arrays_that_are_no_flat_field_are_refused(arrays: dict[str, np.ndarray], level: float, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        FlatField.of(arrays, level)


def test_one_row_holds_for_frames_of_any_height() -> None:
    field = FlatField(gain(1))
    assert np.array_equal(field.over((7, 40)), np.repeat(field.gain, 7, 0))


def test_rows_of_the_frame_before_stand_on_top_with_their_own_gain() -> None:
    field = FlatField(gain(), overlap_rows=4)
    assert np.array_equal(field.over((30, 40)), field.gain)
    assert np.array_equal(field.over((34, 40)), np.concatenate([field.gain[-4:], field.gain]))


@pytest.mark.parametrize("shape", [(29, 40), (35, 40), (30, 41)])
def test_frames_of_another_size_are_refused_with_both_sizes(shape: tuple[int, int]) -> None:
    with pytest.raises(CalibrationError, match=rf"40×30 px and the frame {shape[1]}×{shape[0]} px"):
        FlatField(gain(), overlap_rows=4).over(shape)
