"""Lens and strip plane are found from rendered views of a sheet, and views that can't tell them are refused."""

import numpy as np
import pytest

from calibration.geometry_fit import GeometryFit, fit_views
from calibration.geometry_picture import draw_misses
from calibration.geometry_views import View, find_sheet
from calibration.targets import Sheet
from shadowline.errors import CalibrationError
from tests.rendered import STRIP, Eye, Place, tilted_places

SHEET = Sheet(columns=12, rows=9, square_mm=12.5)
EYE = Eye()
PLACES = [*tilted_places(), STRIP]
FAR = Place((60, 40, 1200), (10, 0, 0))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [EYE.see(SHEET.draw(), place) for place in PLACES]


@pytest.fixture(scope="module")
def fit(pictures: list[np.ndarray]) -> GeometryFit:
    return fit_views([find_sheet(SHEET, picture) for picture in pictures])


def exact(places: list[Place] = PLACES, sheet: Sheet = SHEET) -> list[View]:
    return [EYE.view(sheet, place) for place in places]


def true_boxes_mm(boxes: np.ndarray) -> np.ndarray:
    """Return what boxes measure on the strip: x from the left edge's middle, y from the first row's."""
    width, height = EYE.size_px

    def at(edges: object) -> np.ndarray:
        return EYE.on_sheet(STRIP, np.array(edges, np.float64))

    middle, beside = at([[width / 2, height / 2], [width / 2 + 1, height / 2]])
    right = (beside - middle) / np.linalg.norm(beside - middle)
    axes = np.array([right, [-right[1], right[0]]]).T
    x, y, w, h = boxes.T.astype(float)
    ends = ((x, y + h / 2), (x + w, y + h / 2), (x + w / 2, y), (x + w / 2, y + h))
    left, other, top, bottom = (at(np.stack(end, axis=1)) @ axes for end in ends)
    zero = (at([[0, height / 2], [width / 2, 0]]) @ axes).diagonal()
    return np.stack([left[:, 0] - zero[0], top[:, 1] - zero[1], (other - left)[:, 0], (bottom - top)[:, 1]], axis=1)


def random_boxes() -> np.ndarray:
    rng = np.random.default_rng(3)
    corner = rng.integers(0, np.array(EYE.size_px) - 120, (300, 2))
    return np.concatenate([corner, rng.integers(5, 120, (300, 2))], axis=1).astype(np.int32)


def test_residual_is_below_a_twentieth_of_a_pixel(fit: GeometryFit) -> None:
    assert fit.figures["rms_px"] <= 0.05
    assert fit.figures["views"] == 11


def test_sizes_are_right_to_a_tenth_of_a_per_cent(fit: GeometryFit) -> None:
    boxes = random_boxes()
    measured, true = fit.geometry.boxes_mm(boxes), true_boxes_mm(boxes)
    assert np.abs(measured[:, 2:] / true[:, 2:] - 1).max() <= 1e-3
    assert np.abs(measured[:, :2] - true[:, :2]).max() <= 0.02
    whole = np.array([[0, 0, *EYE.size_px]], np.int32)
    assert fit.geometry.boxes_mm(whole) == pytest.approx(true_boxes_mm(whole), rel=3e-4, abs=1e-6)


def test_areas_are_right(fit: GeometryFit) -> None:
    boxes = random_boxes()
    true = true_boxes_mm(boxes)[:, 2:].prod(axis=1)
    assert fit.geometry.boxes_mm(boxes)[:, 2:].prod(axis=1) == pytest.approx(true, rel=3e-3)


def test_lens_and_pose_are_found(fit: GeometryFit) -> None:
    figures = fit.figures
    assert figures["focal_px"] == pytest.approx(EYE.focal_px, rel=1e-3)
    assert figures["k1"] == pytest.approx(EYE.bend[0], abs=0.005)
    true = np.rad2deg(np.arccos(STRIP.rotation[2, 2]))
    assert figures["tilt_deg"] == pytest.approx(true, abs=0.05)
    assert figures["sheet_turn_deg"] == pytest.approx(1.2, abs=0.1)


def test_misses_are_drawn(fit: GeometryFit) -> None:
    picture = draw_misses(fit)
    assert picture.shape[1] == 1400
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3


def test_16_bit_pictures_give_the_same(pictures: list[np.ndarray]) -> None:
    wide = find_sheet(SHEET, pictures[-1].astype(np.uint16) * 64)
    assert wide.corners_px == pytest.approx(find_sheet(SHEET, pictures[-1]).corners_px, abs=0.02)


def test_a_checkerboard_does_as_well() -> None:
    sheet = Sheet("checkerboard", 9, 6, 12.5)
    places = [Place(STRIP.middle_mm, turned) for turned in ((20, 0, 5), (0, 25, -4))]
    for place in [*places, STRIP]:
        seen, true = find_sheet(sheet, EYE.see(sheet.draw(), place)).corners_px, EYE.view(sheet, place).corners_px
        miss = np.linalg.norm(seen[:, None] - true[None], axis=2).min(axis=1)
        assert len(seen) == 40
        assert np.sqrt((miss**2).mean()) < 0.05


def test_a_plate_lets_the_strip_lie_deeper() -> None:
    bare, plated = fit_views(exact()), fit_views(exact(), thickness_mm=4.0)
    distance = bare.figures["distance_mm"]
    scale = plated.geometry.mm_per_px[0] / bare.geometry.mm_per_px[0]
    assert scale == pytest.approx((distance + 4) / distance, rel=1e-4)


def test_the_zero_across_can_be_moved() -> None:
    box = np.array([[0, 280, 1, 1]], np.int32)
    assert fit_views(exact(), left_mm=350.0).geometry.boxes_mm(box)[0, 0] == pytest.approx(350.0, abs=0.01)


def test_outliers_are_left_out() -> None:
    views = exact()
    wild = views[3].corners_px.copy()
    wild[10] += 3
    views[3] = View(wild, views[3].points_mm, 0.5, views[3].size_px)
    figures = fit_views(views).figures
    assert figures["corners_left_out"] == 1
    assert figures["rms_px"] < 0.01


def other_size() -> list[View]:
    first, *rest = exact()
    return [View(first.corners_px, first.points_mm, 0.5, (640, 480)), *rest]


def stretched() -> list[View]:
    return [View(view.corners_px, view.points_mm * [1.02, 1.0], 0.5, view.size_px) for view in exact()]


def flat() -> list[View]:
    return exact([*tilted_places(0.0), STRIP])


def noisy_and_flat() -> list[View]:
    rng = np.random.default_rng(1)
    views = exact([*tilted_places(1.0), STRIP])
    return [View(v.corners_px + rng.normal(0, 0.03, v.corners_px.shape), v.points_mm, 0.5, v.size_px) for v in views]


@pytest.mark.parametrize(
    ("views", "words"),
    [
        (lambda: exact()[-4:], "4 views of the sheet, need 5: tilt the sheet"),
        (lambda: exact([FAR] * 5), "no view shows the sheet in the upper left part"),
        (other_size, "the views are of 640×480 and 900×560 px"),
        (stretched, "printed with another scale across than along"),
        (flat, "too flat to tell the lens"),
        (noisy_and_flat, "too flat to tell the lens"),
    ],
    ids=["few", "corner", "size", "stretched", "flat", "noisy"],
)
def test_views_that_can_not_tell_are_refused(views: object, words: str) -> None:
    assert callable(views)
    with pytest.raises(CalibrationError, match=words):
        fit_views(views())


def test_pictures_that_do_not_do_are_refused(pictures: list[np.ndarray]) -> None:
    with pytest.raises(CalibrationError, match="found 0 corners of the sheet, need 12"):
        find_sheet(SHEET, np.full((480, 640), 90, np.uint8))
    large = Sheet(columns=8, rows=6, square_mm=20)
    with pytest.raises(CalibrationError, match=r"too blurred: 2\.\d px, at most 2: focus"):
        find_sheet(large, EYE.see(large.draw(), STRIP, blur_px=2.6))
    with pytest.raises(CalibrationError, match=r"the markers are 8\.9.* mm, not 11\.25: measure both"):
        find_sheet(Sheet(columns=12, rows=9, square_mm=12.5, marker_mm=11.25), pictures[-1])
