"""Sheets to calibrate with, drawn as dark boxes in mm, and their files at true scale. Pure but for the files."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from shadowline.errors import CalibrationError

__all__ = ["DICTIONARIES", "PAPERS_MM", "Dictionary", "Drawing", "Paper", "Pattern", "Ruling", "Sheet", "save_drawing"]

Pattern: TypeAlias = Literal["charuco", "checkerboard"]
Dictionary: TypeAlias = Literal["4x4_250", "4x4_1000", "5x5_250", "5x5_1000", "6x6_250", "6x6_1000"]
Paper: TypeAlias = Literal["a4", "a3", "a2", "a1", "a0"]

DICTIONARIES: Final[dict[Dictionary, int]] = {
    "4x4_250": cv2.aruco.DICT_4X4_250,
    "4x4_1000": cv2.aruco.DICT_4X4_1000,
    "5x5_250": cv2.aruco.DICT_5X5_250,
    "5x5_1000": cv2.aruco.DICT_5X5_1000,
    "6x6_250": cv2.aruco.DICT_6X6_250,
    "6x6_1000": cv2.aruco.DICT_6X6_1000,
}
PAPERS_MM: Final[dict[Paper, tuple[float, float]]] = {
    "a4": (297, 210),
    "a3": (420, 297),
    "a2": (594, 420),
    "a1": (841, 594),
    "a0": (1189, 841),
}
"""Width and height of a sheet of paper that lies on its long side (ISO 216)."""

_USUAL_MARKER = 0.75  # side of a marker, as a part of the square's
_MARGIN_MM = 10.0  # what printers can't print, and the line of text
_TEXT_MM = 3.5
_PX_PER_MM = 20  # of a PNG: every 0.05 mm is exact


@dataclass(frozen=True, slots=True)
class Drawing:
    """Dark boxes on white: `boxes_mm` [n,4] is x, y, w, h from the upper left corner of `size_mm` (width, height)."""

    size_mm: tuple[float, float]
    boxes_mm: NDArray[np.float64]
    caption: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A checkerboard of `columns` × `rows` squares; as ChArUco with a marker in each white one.

    The markers are numbered as those of OpenCV's `CharucoBoard`. Raises `CalibrationError` for a board that can't be.
    """

    pattern: Pattern = "charuco"
    columns: int = 10
    rows: int = 7
    square_mm: float = 25.0
    marker_mm: float = 0.0
    """Side of a marker; 0 is three quarters of a square."""
    dictionary: Dictionary = "4x4_250"

    def __post_init__(self) -> None:
        if not self.marker_mm:
            object.__setattr__(self, "marker_mm", _USUAL_MARKER * self.square_mm)
        if min(self.columns, self.rows) < 4:
            raise CalibrationError(f"a sheet of {self.columns}×{self.rows} squares is too small: take 4×4 at least")
        if not 0 < self.marker_mm < self.square_mm < 1e4:
            raise CalibrationError(
                f"squares of {self.square_mm:g} mm with markers of {self.marker_mm:g} mm: a square has up to 10 m,"
                " a marker is smaller"
            )
        need, there = self.columns * self.rows // 2, int(self.dictionary.rpartition("_")[2])
        if self.pattern == "charuco" and need > there:
            raise CalibrationError(
                f"{self.columns}×{self.rows} squares need {need} markers, but {self.dictionary} has {there}:"
                " take fewer squares or a larger dictionary"
            )

    def make_board(self) -> cv2.aruco.CharucoBoard:
        """Return the board as OpenCV's ChArUco detector takes it."""
        dictionary = cv2.aruco.getPredefinedDictionary(DICTIONARIES[self.dictionary])
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.square_mm, self.marker_mm, dictionary)

    def corners_mm(self) -> NDArray[np.float64]:
        """Return the inner corners [n,2] row by row, from the sheet's upper left corner."""
        row, column = np.mgrid[1 : self.rows, 1 : self.columns]
        return np.stack([column.ravel(), row.ravel()], axis=1) * self.square_mm

    def draw(self) -> Drawing:
        """Return the sheet."""
        places = np.argwhere(np.indices((self.rows, self.columns)).sum(0) % 2 == 0)[:, ::-1]
        squares = np.concatenate([places * self.square_mm, np.full((len(places), 2), self.square_mm)], axis=1)
        size = (self.columns * self.square_mm, self.rows * self.square_mm)
        words = f"{self.pattern} {self.columns} x {self.rows}, squares of {self.square_mm:g} mm"
        if self.pattern == "checkerboard":
            return Drawing(size, squares, words)
        words += f", markers of {self.marker_mm:g} mm from {self.dictionary}"
        return Drawing(size, np.concatenate([squares, self._marker_boxes()]), words)

    def _marker_boxes(self) -> NDArray[np.float64]:
        dictionary = cv2.aruco.getPredefinedDictionary(DICTIONARIES[self.dictionary])
        places = np.argwhere(np.indices((self.rows, self.columns)).sum(0) % 2 == 1)[:, ::-1]
        side = dictionary.markerSize + 2  # bits, with the border
        gap_mm = (self.square_mm - self.marker_mm) / 2
        boxes = []
        for number, place in enumerate(places):
            bits = _runs(dictionary.generateImageMarker(number, side) == 0) * (self.marker_mm / side)
            bits[:, :2] += place * self.square_mm + gap_mm
            boxes.append(bits)
        return np.concatenate(boxes)


@dataclass(frozen=True, slots=True)
class Ruling:
    """Dark bars along the line, of half a pitch each, for line-scan cameras; one bar begins every `pitch_mm`."""

    bars: int = 50
    pitch_mm: float = 5.0
    length_mm: float = 150.0

    def __post_init__(self) -> None:
        if self.bars < 2 or not 0 < self.pitch_mm < 1e4 or not 0 < self.length_mm < 1e5:
            raise CalibrationError("a ruling has two bars or more, and a pitch and a length above 0 mm")

    def draw(self) -> Drawing:
        """Return the ruling."""
        boxes = np.zeros((self.bars, 4))
        boxes[:, 0] = np.arange(self.bars) * self.pitch_mm
        boxes[:, 2:] = self.pitch_mm / 2, self.length_mm
        size = ((self.bars - 0.5) * self.pitch_mm, self.length_mm)
        return Drawing(size, boxes, f"ruled, {self.bars} bars every {self.pitch_mm:g} mm")


def save_drawing(drawing: Drawing, path: Path, paper: Paper | None = None) -> None:
    """Write `drawing` in the middle of a `paper`, else of just enough, as .pdf or .png by the name of `path`.

    Raises `CalibrationError` for another name, a drawing that is too large, and a file that can't be written.
    """
    page = _place(drawing, paper)
    match path.suffix.lower():
        case ".pdf":
            content = _pdf(page)
        case ".png":
            content = _png(page)
        case _:
            raise CalibrationError(f"{path}: the name of a target ends in .pdf or .png")
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise CalibrationError(f"{path}: can't write the target: {error.strerror}") from error


def _place(drawing: Drawing, paper: Paper | None) -> Drawing:
    """Return `drawing` on its page, with the scale to measure after printing in its caption."""
    need = np.array(drawing.size_mm) + 2 * _MARGIN_MM
    size = need if paper is None else np.array(PAPERS_MM[paper], np.float64)
    if paper and (need[0] > need[1]) != (size[0] > size[1]):
        size = size[::-1]
    if (need > size).any():
        raise CalibrationError(
            f"{drawing.size_mm[0]:g}×{drawing.size_mm[1]:g} mm and margins of {_MARGIN_MM:g} mm do not fit on {paper}:"
            " take a larger paper, or fewer or smaller squares"
        )
    boxes = drawing.boxes_mm.copy()
    boxes[:, :2] += (size - drawing.size_mm) / 2
    caption = f"{drawing.caption}; {drawing.size_mm[0]:g} mm from the left edge of the pattern to its right edge"
    return Drawing((float(size[0]), float(size[1])), boxes, caption)


def _runs(dark: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the dark runs of each row as boxes [n,4]."""
    steps = np.diff(np.pad(dark, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(steps == 1)
    last = np.nonzero(steps == -1)[1]
    return np.stack([first, row, last - first, np.ones_like(row)], axis=1).astype(np.float64)


def _png(page: Drawing) -> bytes:
    """Return `page` as a PNG that says how large its pixels are."""
    width, height = (round(side * _PX_PER_MM) for side in page.size_mm)
    image = np.full((height, width), 255, np.uint8)
    edges = np.rint(np.concatenate([page.boxes_mm[:, :2], page.boxes_mm[:, :2] + page.boxes_mm[:, 2:]], 1) * _PX_PER_MM)
    for left, top, right, bottom in edges.astype(int):
        image[top:bottom, left:right] = 0
    at = (round(_MARGIN_MM * _PX_PER_MM), height - round(_TEXT_MM * _PX_PER_MM))
    cv2.putText(image, page.caption, at, cv2.FONT_HERSHEY_SIMPLEX, _TEXT_MM * _PX_PER_MM / 40, (0,), 2, cv2.LINE_AA)
    data = cv2.imencode(".png", image, (cv2.IMWRITE_PNG_COMPRESSION, 9))[1].tobytes()
    per_metre = (_PX_PER_MM * 1000).to_bytes(4, "big")
    header_end = 33  # after the signature and the chunk IHDR, whose lengths are fixed
    return data[:header_end] + _chunk(b"pHYs", per_metre + per_metre + b"\x01") + data[header_end:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _pdf(page: Drawing) -> bytes:
    """Return `page` as a PDF 1.6 of one page, which asks the viewer not to scale it."""
    width, height = page.size_mm
    point = 72 / 25.4
    boxes = "\n".join("{:.5f} {:.5f} {:.5f} {:.5f} re".format(*box) for box in page.boxes_mm)
    text = f"BT /F {_TEXT_MM} Tf 1 0 0 -1 {_MARGIN_MM} {height - _TEXT_MM} Tm ({page.caption}) Tj ET"
    content = zlib.compress(f"{point} 0 0 {-point} 0 {height * point} cm\n{boxes}\nf\n{text}".encode("ascii"))
    return _pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >>"
            + f" /MediaBox [0 0 {width * point:.5f} {height * point:.5f}] >>".encode(),
            f"<< /Length {len(content)} /Filter /FlateDecode >>\nstream\n".encode() + content + b"\nendstream",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        ]
    )


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    """Return a file of `objects`, numbered from 1; the first is the catalog."""
    file, places = b"%PDF-1.6\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return file + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (size, table, size, len(file))
    )
