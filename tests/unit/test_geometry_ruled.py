"""A line-scan camera's millimetres come from drawn bars, slanted, unevenly lit and seen through a lens."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from calibration.geometry_ruled import fit_ruled
from shadowline.errors import CalibrationError

WIDTH, ROWS = 2048, 256
PITCH_MM, ROW_MM = 5.0, 0.25
OVER = 8


def across_mm(edge_px: np.ndarray) -> np.ndarray:
    """Return where the pixel edges look: a lens that bends by 5 %, and a camera that sees the right side closer."""
    place = edge_px * 2 / WIDTH - 1
    return 0.25 * WIDTH / 2 * (place - 0.05 * place**3) / (1 + 0.03 * place)


def block(turned_deg: float = 1.2, blur_px: float = 0.7, moves: bool = True) -> np.ndarray:
    """Return a block of lines that sees bars turned by so much."""
    x = across_mm((np.arange(WIDTH * OVER) + 0.5) / OVER)
    y = (np.arange(ROWS) + 0.5) * (ROW_MM if moves else 0)
    angle = np.deg2rad(turned_deg)
    bar = (x * np.cos(angle) + (y * np.sin(angle))[:, None] + 1000.3) / PITCH_MM
    light = 1 - 0.28 * np.linspace(-1, 1, WIDTH) ** 4
    picture = np.where(bar % 1 < 0.5, 40.0, 200.0).reshape(ROWS, WIDTH, OVER).mean(axis=2) * light
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return (cv2.GaussianBlur(picture, (0, 0), blur_px) + noise).clip(0, 255).round().astype(np.uint8)


def test_sizes_are_right_to_a_tenth_of_a_per_cent() -> None:
    fit = fit_ruled(block(), PITCH_MM, ROW_MM, left_mm=100.0)
    boxes = np.array([[0, 0, WIDTH, ROWS], [0, 8, 700, 1], [1500, 3, 30, 100], [1900, 3, 100, 4]], np.int32)
    x, y, w, h = boxes.T
    left = across_mm(x)
    true = np.stack([left - across_mm(np.zeros(4)) + 100, y * ROW_MM, across_mm(x + w) - left, h * ROW_MM], axis=1)
    measured = fit.geometry.boxes_mm(boxes)
    assert measured[:, 2:] == pytest.approx(true[:, 2:], rel=1e-3)
    assert measured[:, :2] == pytest.approx(true[:, :2], abs=0.02)
    assert fit.figures["rms_px"] <= 0.05
    assert fit.figures["sheet_turn_deg"] == pytest.approx(1.2, abs=0.02)
    assert fit.figures["along_mm_per_px"] == ROW_MM


def test_16_bit_blocks_give_the_same() -> None:
    picture = block()
    narrow, wide = (fit_ruled(one, PITCH_MM, ROW_MM) for one in (picture, picture.astype(np.uint16) * 256))
    assert wide.geometry.nodes == pytest.approx(narrow.geometry.nodes)


def test_a_soiled_bar_does_no_harm() -> None:
    picture = block()
    picture[:, 1000:1012] = 120
    assert fit_ruled(picture, PITCH_MM, ROW_MM).geometry.nodes == pytest.approx(
        fit_ruled(block(), PITCH_MM, ROW_MM).geometry.nodes, abs=0.02
    )


def half_empty() -> np.ndarray:
    picture = block()
    picture[:, :900] = 200
    return picture


def uneven() -> np.ndarray:
    """Return bars of a pitch that is 10 % wrong here and there."""
    picture = np.full((ROWS, WIDTH), 200, np.uint8)
    rng = np.random.default_rng(2)
    for x in np.arange(4, WIDTH - 20, 20) + rng.integers(-2, 3, len(np.arange(4, WIDTH - 20, 20))):
        picture[:, x : x + 10] = 40
    return picture


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (lambda: np.full((ROWS, WIDTH), 128, np.uint8), "found 0 bars"),
        (half_empty, "of the width, need 12 over 80%"),
        (lambda: block(blur_px=6), "too blurred"),
        (lambda: block(turned_deg=8), "more than 5 degrees off the line"),
        (uneven, "bars are not evenly spaced"),
    ],
)
def test_bars_that_do_not_do_are_refused(picture: Callable[[], np.ndarray], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        fit_ruled(picture(), PITCH_MM, ROW_MM)


@pytest.mark.parametrize("mm_per_row", [0.0, -0.25, float("nan")])
def test_a_strip_that_does_not_go_forward_is_refused(mm_per_row: float) -> None:
    with pytest.raises(CalibrationError, match="let the strip move forward"):
        fit_ruled(block(), PITCH_MM, mm_per_row)


def test_bars_of_no_pitch_are_refused() -> None:
    with pytest.raises(CalibrationError, match="say their pitch"):
        fit_ruled(block(), 0.0, ROW_MM)
