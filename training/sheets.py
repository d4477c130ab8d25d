"""Picture sheets: many small pictures with captions and boxes in one, for an engineer's eye. Pure but for writing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from shadowline.errors import StationError

__all__ = ["picture_sheet", "write_sheet"]

_Boxes: TypeAlias = Sequence[tuple[int, int, int, int]]

_GAP_PX = 8
_LINE_PX = 16
_TITLE_PX = 36
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_SCALE, _TITLE_SCALE = 0.38, 0.6
_GROUND, _EMPTY = (28, 26, 24), (44, 41, 38)
_TEXT, _TITLE, _BOX = (214, 210, 205), (255, 255, 255), (0, 176, 255)


def picture_sheet(
    images: Sequence[NDArray[np.uint8]],
    captions: Sequence[str],
    columns: int = 8,
    tile_px: int = 128,
    title: str = "",
    boxes: Sequence[_Boxes] | None = None,
) -> NDArray[np.uint8]:
    """Return a sheet of pictures row by row, uint8 [H,W,3] in BGR.

    `images` are grey [h,w] or BGR [h,w,3], each fitted undistorted into a square of `tile_px`; `boxes` holds each
    picture's boxes x, y, w, h in its own pixels. A caption may have several lines; one too wide loses its middle.
    """
    columns = min(columns, max(len(images), 1))
    lines = [caption.split("\n") for caption in captions]
    step_x, step_y = tile_px + _GAP_PX, tile_px + _GAP_PX + _LINE_PX * max(map(len, lines), default=0)
    top = _TITLE_PX if title else _GAP_PX
    sheet = np.empty((top + -(-len(images) // columns) * step_y, _GAP_PX + columns * step_x, 3), np.uint8)
    sheet[:] = _GROUND
    if title:
        _write(sheet, title, (_GAP_PX, _TITLE_PX - 12), sheet.shape[1] - 2 * _GAP_PX, _TITLE_SCALE, _TITLE)
    for place, (image, text) in enumerate(zip(images, lines, strict=True)):
        x, y = _GAP_PX + place % columns * step_x, top + place // columns * step_y
        sheet[y : y + tile_px, x : x + tile_px] = _tile(image, tile_px, boxes[place] if boxes else ())
        for number, line in enumerate(text, start=1):
            _write(sheet, line, (x, y + tile_px + number * _LINE_PX - 4), tile_px, _TEXT_SCALE, _TEXT)
    return sheet


def write_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    """Write a sheet as PNG, and the folders above it. Raises `StationError` when it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    except OSError as fault:
        raise StationError(f"{path}: the sheet can't be written ({fault.strerror}); choose another folder") from fault


def _tile(image: NDArray[np.uint8], tile_px: int, boxes: _Boxes) -> NDArray[np.uint8]:
    """Return the picture centred in a square [tile_px,tile_px,3], its boxes drawn on it."""
    factor = tile_px / max(image.shape[:2])
    width, height = (max(round(side * factor), 1) for side in (image.shape[1], image.shape[0]))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (width, height), interpolation=way)
    colour = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR) if small.ndim == 2 else small
    for x, y, w, h in boxes:
        start, end = (round(x * factor), round(y * factor)), (round((x + w) * factor) - 1, round((y + h) * factor) - 1)
        cv2.rectangle(colour, start, end, _BOX, 1)
    tile = np.empty((tile_px, tile_px, 3), np.uint8)
    tile[:] = _EMPTY
    left, top = (tile_px - width) // 2, (tile_px - height) // 2
    tile[top : top + height, left : left + width] = colour
    return tile


def _write(
    sheet: NDArray[np.uint8],
    text: str,
    place: tuple[int, int],
    width_px: int,
    scale: float,
    colour: tuple[int, int, int],
) -> None:
    """Write one line on the sheet from its lower left corner on, without its middle if it is wider than `width_px`."""
    shown, kept = text, len(text)
    while kept > 2 and cv2.getTextSize(shown, _FONT, scale, 1)[0][0] > width_px:
        kept -= 1
        shown = f"{text[: kept // 2]}..{text[len(text) - (kept - kept // 2) :]}"
    cv2.putText(sheet, shown, place, _FONT, scale, colour, 1, cv2.LINE_AA)
