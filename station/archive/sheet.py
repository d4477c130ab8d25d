"""A contact sheet of one piece of evidence: its crops side by side, each with its label. Pure."""

import cv2
import numpy as np
from numpy.typing import NDArray

from station.archive.evidence import Evidence

__all__ = ["draw_sheet"]

_CELL_PX, _CAPTION_PX, _COLUMNS = 192, 24, 6
_WHITE = 255


def draw_sheet(evidence: Evidence, contents: list[bytes]) -> NDArray[np.uint8]:
    """Return one grey picture of the files `contents`, which are those of `evidence.pictures` in order."""
    cells = [
        _draw_cell(content, _caption(evidence, picture.defect))
        for content, picture in zip(contents, evidence.pictures, strict=True)
    ]
    blank = np.full((_CELL_PX + _CAPTION_PX, _CELL_PX), _WHITE, np.uint8)
    columns = min(len(cells), _COLUMNS)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    return np.vstack(rows)


def _caption(evidence: Evidence, number: int | None) -> str:
    if number is None:
        return f"frame: {evidence.event.verdict}"
    defect = evidence.event.defects[number]
    return f"{number} {defect.label} {defect.confidence:.2f}"


def _draw_cell(content: bytes, caption: str) -> NDArray[np.uint8]:
    """Return the picture in a cell, as large as it fits, over its caption."""
    cell = np.full((_CELL_PX + _CAPTION_PX, _CELL_PX), _WHITE, np.uint8)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is not None:
        factor = (_CELL_PX - 4) / max(image.shape)
        width, height = (max(1, round(side * factor)) for side in image.shape[::-1])
        cell[2 : 2 + height, 2 : 2 + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    plain = caption.encode("ascii", "replace").decode()
    cv2.putText(cell, plain, (4, _CELL_PX + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 0, 1, cv2.LINE_AA)
    return cell
