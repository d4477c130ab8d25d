"""A geometry turns boxes, areas and rows into millimetres, survives the store, and refuses what no camera makes."""

import numpy as np
import pytest

from calibration.geometry import CELL_PX, Geometry
from shadowline.errors import CalibrationError


def even(width: int = 100, height: int | None = 60, across: float = 0.25, along: float = 0.4) -> Geometry:
    """Return a geometry of even pixels."""
    rows = 2 if height is None else -(-height // CELL_PX) + 1
    y, x = np.mgrid[0:rows, 0 : -(-width // CELL_PX) + 1] * float(CELL_PX)
    return Geometry(np.stack([x * across, y * along], axis=-1), width, height)


BOXES = np.array([[0, 0, 100, 60], [17, 3, 1, 1], [90, 50, 10, 10]], np.int32)


def test_even_pixels_are_multiplied() -> None:
    geometry = even()
    assert geometry.boxes_mm(BOXES) == pytest.approx(BOXES * np.array([0.25, 0.4, 0.25, 0.4]))
    assert geometry.mm_per_px == pytest.approx((0.25, 0.4))


def test_no_boxes_are_no_boxes() -> None:
    none = np.empty((0, 4), np.int32)
    assert even().boxes_mm(none).shape == (0, 4)


def test_line_scan_blocks_have_any_height() -> None:
    geometry = even(height=None)
    geometry.check_size(100, 5000)
    assert geometry.boxes_mm(np.array([[0, 4000, 8, 1000]], np.int32))[0] == pytest.approx([0, 1600, 2, 400])
    assert geometry.mm_per_px == pytest.approx((0.25, 0.4))


def test_frames_of_another_size_are_refused() -> None:
    even().check_size(100, 60)
    with pytest.raises(CalibrationError, match=r"100×60, but the camera delivers 200×60: calibrate it again"):
        even().check_size(200, 60)


def test_arrays_are_read_only_and_come_back() -> None:
    geometry = even()
    assert not geometry.nodes.flags.writeable
    back = Geometry.from_arrays(geometry.arrays())
    assert np.array_equal(back.boxes_mm(BOXES), geometry.boxes_mm(BOXES))
    assert Geometry.from_arrays(even(height=None).arrays()).height_px is None


def flat(nodes: np.ndarray) -> np.ndarray:
    return nodes * [0.0, 1.0]


def mirrored(nodes: np.ndarray) -> np.ndarray:
    return nodes * [-1.0, 1.0]


def holed(nodes: np.ndarray) -> np.ndarray:
    return np.where(nodes == nodes.max(), np.nan, nodes)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(flat, "0 mm per pixel"), (mirrored, "0 mm per pixel"), (holed, "not finite"), (lambda nodes: nodes[1:], "fit")],
)
def test_nodes_that_no_camera_makes_are_refused(spoil: object, words: str) -> None:
    assert callable(spoil)
    with pytest.raises(CalibrationError, match=words):
        Geometry(spoil(even().nodes), 100, 60)


def test_arrays_of_something_else_are_refused() -> None:
    arrays = even().arrays()
    with pytest.raises(CalibrationError, match="not a geometry"):
        Geometry.from_arrays({"gain": np.ones((4, 4))})
    with pytest.raises(CalibrationError, match="not a geometry"):
        Geometry.from_arrays(arrays | {"size_px": np.array([3])})
    with pytest.raises(CalibrationError, match="schema 9"):
        Geometry.from_arrays(arrays | {"geometry_schema": np.array(9)})
