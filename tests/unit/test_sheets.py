"""Picture sheets: each picture in its place, undistorted, with its boxes and its caption."""

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from training.sheets import picture_sheet, write_sheet


def grey(level, height=64, width=64):
    return np.full((height, width), level, np.uint8)


def places(sheet, colour):
    """Return left, top, right, bottom of what has a colour."""
    rows, columns = np.nonzero((sheet == colour).all(2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_pictures_stand_row_by_row():
    sheet = picture_sheet([grey(100), grey(150), grey(200)], ["a", "b", "c"], columns=2, tile_px=64)
    first, second, third = (places(sheet, (level,) * 3) for level in (100, 150, 200))
    assert first[1] == second[1] < third[1]
    assert first[0] == third[0] < second[0]
    assert all((right - left, bottom - top) == (64, 64) for left, top, right, bottom in (first, second, third))


def test_a_long_picture_is_fitted_undistorted_and_centred():
    sheet = picture_sheet([grey(200, 20, 80)], [""], tile_px=64)
    left, top, right, bottom = places(sheet, (200,) * 3)
    assert (right - left, bottom - top) == (64, 16)
    assert (left, top) == (8, 8 + 24)


def test_boxes_are_drawn_where_they_lie_in_the_picture():
    sheet = picture_sheet([grey(200, 128, 128)], [""], tile_px=64, boxes=[[(32, 64, 64, 32)]])
    left, top, right, bottom = places(sheet, (0, 176, 255))
    assert (left - 8, top - 8, right - left, bottom - top) == (16, 32, 32, 16)


def test_colour_pictures_keep_their_colour():
    sheet = picture_sheet([np.full((40, 40, 3), (10, 20, 250), np.uint8)], [""], tile_px=40)
    assert places(sheet, (10, 20, 250)) == (8, 8, 48, 48)


@pytest.mark.parametrize("caption", ["short", "a name that is much too long for its tile of sixty-four pixels"])
def test_a_caption_stays_below_its_own_tile(caption):
    sheet = picture_sheet([grey(200), grey(200)], [caption, ""], tile_px=64)
    below = (sheet[72:] > 90).all(2)
    assert below[:, :76].any()
    assert not below[:, 80:].any()


def test_captions_of_two_lines_and_a_title_make_room():
    plain = picture_sheet([grey(200)], [""], tile_px=64)
    lines = picture_sheet([grey(200)], ["true a\nnamed b 0.93"], tile_px=64)
    titled = picture_sheet([grey(200)], [""], tile_px=64, title="worst")
    assert plain.shape[0] < lines.shape[0]
    assert plain.shape[0] < titled.shape[0]
    assert plain.shape[1] == lines.shape[1] == titled.shape[1]


def test_no_pictures_make_an_empty_sheet():
    assert picture_sheet([], [], title="none").shape[2] == 3


def test_captions_must_be_as_many_as_pictures():
    with pytest.raises(ValueError, match="zip"):
        picture_sheet([grey(1)], [])


def test_a_sheet_is_written_with_its_folders(tmp_path):
    sheet = picture_sheet([grey(200)], ["a"])
    write_sheet(tmp_path / "x" / "y" / "a.png", sheet)
    assert np.array_equal(cv2.imread(str(tmp_path / "x" / "y" / "a.png")), sheet)


def test_a_sheet_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StationError, match="can't be written"):
        write_sheet(tmp_path / "file" / "a.png", picture_sheet([grey(1)], [""]))
