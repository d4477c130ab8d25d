"""Sheets are drawn at true scale, as OpenCV's detector expects them, and can be printed."""

import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.targets import Ruling, Sheet, save_drawing
from shadowline.errors import CalibrationError

MM_PER_POINT = 25.4 / 72


def png_scale(path: Path) -> int:
    """Return the pixels a metre that a PNG says it has."""
    data = path.read_bytes()
    at = data.index(b"pHYs")
    kind_and_content = data[at : at + 13]
    assert int.from_bytes(data[at + 13 : at + 17], "big") == zlib.crc32(kind_and_content)
    assert data[at + 4 : at + 8] == data[at + 8 : at + 12]
    assert data[at + 12] == 1
    return int.from_bytes(data[at + 4 : at + 8], "big")


@pytest.mark.parametrize("sheet", [Sheet(), Sheet(columns=7, rows=6, dictionary="5x5_1000"), Sheet("checkerboard")])
def test_a_png_is_to_scale_and_found(sheet: Sheet, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    save_drawing(sheet.draw(), path, "a4")
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (4200, 5940)
    assert png_scale(path) == 20_000
    dark = np.argwhere(image[: -10 * 20] == 0)
    assert (np.ptp(dark, axis=0) + 1 == np.array([sheet.rows, sheet.columns]) * sheet.square_mm * 20).all()
    small = cv2.resize(image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    if sheet.pattern == "charuco":
        numbers = cv2.aruco.CharucoDetector(sheet.make_board()).detectBoard(small)[1]
        assert sorted(numbers.ravel()) == list(range(len(sheet.corners_mm())))
    else:
        assert cv2.findChessboardCornersSB(small, (sheet.columns - 1, sheet.rows - 1))[0]


def test_a_pdf_holds_the_same_boxes(tmp_path: Path) -> None:
    sheet, path = Sheet(), tmp_path / "sheet.pdf"
    save_drawing(sheet.draw(), path)
    data = path.read_bytes()
    width, height = (float(side) * MM_PER_POINT for side in re.findall(rb"MediaBox \[0 0 (\S+) (\S+)\]", data)[0])
    assert (width, height) == pytest.approx((270, 195), abs=1e-4)
    content = zlib.decompress(data[data.index(b"stream\n") + 7 : data.index(b"\nendstream")]).decode()
    scale = float(content.split()[0])
    boxes = np.array(
        [[float(part) for part in line.split()[:4]] for line in content.splitlines() if line[-3:] == " re"]
    )
    assert scale * MM_PER_POINT == pytest.approx(1)
    assert boxes == pytest.approx(sheet.draw().boxes_mm + np.array([10, 10, 0, 0]))


def test_every_offset_of_a_pdf_is_right(tmp_path: Path) -> None:
    path = tmp_path / "ruled.pdf"
    save_drawing(Ruling().draw(), path, "a3")
    data = path.read_bytes()
    table = int(data.split(b"startxref\n")[1].split()[0])
    assert data[table:].startswith(b"xref\n0 6\n")
    for number, line in enumerate(data[table:].splitlines()[3:8], 1):
        assert data[int(line.split()[0]) :].startswith(b"%d 0 obj" % number)


def test_another_reader_sees_the_same_page(tmp_path: Path) -> None:
    reader = pytest.importorskip("pypdfium2", reason="the PDF is read by pypdfium2: pip install pypdfium2")
    save_drawing(Sheet().draw(), tmp_path / "sheet.pdf", "a4")
    save_drawing(Sheet().draw(), tmp_path / "sheet.png", "a4")
    with reader.PdfDocument(tmp_path / "sheet.pdf") as document:
        page = document[0].render(scale=10 * MM_PER_POINT, grayscale=True).to_numpy().squeeze()
    drawn = cv2.resize(cv2.imread(str(tmp_path / "sheet.png"), 0), page.shape[::-1], interpolation=cv2.INTER_AREA)
    assert (np.abs(page[:-100].astype(int) - drawn[:-100]) > 128).mean() < 0.002


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sheet(columns=3), "too small"),
        (lambda: Sheet(square_mm=0), "squares of 0 mm"),
        (lambda: Sheet(marker_mm=30), "a marker is smaller"),
        (lambda: Sheet(columns=30, rows=20), "need 300 markers, but 4x4_250 has 250"),
        (lambda: Ruling(pitch_mm=0), "above 0 mm"),
    ],
)
def test_sheets_that_can_not_be_are_refused(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(CalibrationError, match=words):
        make()


def test_what_can_not_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="do not fit on a4"):
        save_drawing(Sheet(square_mm=40).draw(), tmp_path / "a.pdf", "a4")
    with pytest.raises(CalibrationError, match=r"ends in \.pdf or \.png"):
        save_drawing(Sheet().draw(), tmp_path / "a.svg")
    with pytest.raises(CalibrationError, match="can't write the target"):
        save_drawing(Sheet().draw(), tmp_path / "none" / "a.pdf")
    assert not list(tmp_path.iterdir())
