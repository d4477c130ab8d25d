"""Pictures of what the station saw beside what is marked: sheets of the worst, and single frames. Pure."""

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from training.assess.figures import cover_of
from training.assess.line import Seen
from training.data import Marked
from training.sheets import picture_sheet

__all__ = ["draw_seen", "false_alarm_sheet", "miss_sheet"]

_MARKED, _MISSED, _FOUND, _FALSE = (120, 190, 60), (60, 60, 235), (235, 175, 75), (60, 165, 255)
"""BGR: a defect that was met is green, one that was missed red; a region that meets one blue, a false one orange."""
_MOST = 16
_COLUMNS = 4
_TILE_PX = 300
_LEAST_SIDE_PX, _MOST_SIDE_PX = 480, 1280
_FONT, _TEXT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42
_TO_COLOUR = cv2.COLOR_GRAY2BGR


def miss_sheet(pictures: Sequence[Marked], seen: Sequence[Seen]) -> NDArray[np.uint8] | None:
    """Return a sheet of the pictures with the most missed defects, None where nothing was missed."""
    missed = [
        int((~cover_of(picture, one.regions.boxes).met).sum()) for picture, one in zip(pictures, seen, strict=True)
    ]
    return _sheet(pictures, seen, missed, f"{sum(missed)} defects missed (red), in {np.count_nonzero(missed)} pictures")


def false_alarm_sheet(pictures: Sequence[Marked], seen: Sequence[Seen]) -> NDArray[np.uint8] | None:
    """Return a sheet of the pictures with the surest regions that meet no defect, None where there is none."""
    false = [cover_of(picture, one.regions.boxes).false for picture, one in zip(pictures, seen, strict=True)]
    surest = [float(one.regions.scores[wrong].max(initial=0.0)) for one, wrong in zip(seen, false, strict=True)]
    title = f"{sum(int(wrong.sum()) for wrong in false)} regions meet no marked defect (orange), the surest first"
    return _sheet(pictures, seen, surest, title)


def draw_seen(picture: Marked, seen: Seen) -> NDArray[np.uint8]:
    """Return a picture in colour [h,w,3] (BGR), of a size to look at, with the marked boxes and the regions by name."""
    image = picture.image()
    factor = _factor(max(image.shape))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    colour = np.asarray(
        cv2.cvtColor(cv2.resize(image, None, fx=factor, fy=factor, interpolation=way), _TO_COLOUR), np.uint8
    )
    cover = cover_of(picture, seen.regions.boxes)
    for box, met in zip(cover.boxes.tolist(), cover.met.tolist(), strict=True):
        _frame(colour, box, factor, _MARKED if met else _MISSED, 3)
    regions = seen.regions
    for box, label, score, wrong in zip(
        regions.boxes.tolist(), regions.labels, regions.scores.tolist(), cover.false.tolist(), strict=True
    ):
        hue = _FALSE if wrong else _FOUND
        _write(colour, f"{label} {score:.2f}", _frame(colour, box, factor, hue, 2), hue)
    return colour


def _factor(side_px: int) -> float:
    """Return by what to multiply a picture whose longer side is `side_px`: small ones by a whole number."""
    return _MOST_SIDE_PX / side_px if side_px > _MOST_SIDE_PX else float(max(1, -(-_LEAST_SIDE_PX // side_px)))


def _sheet(
    pictures: Sequence[Marked], seen: Sequence[Seen], badness: Sequence[float], title: str
) -> NDArray[np.uint8] | None:
    worst = [row for row in np.argsort(-np.array(badness), kind="stable").tolist() if badness[row] > 0][:_MOST]
    if not worst:
        return None
    captions = [_caption(pictures[row], seen[row]) for row in worst]
    return picture_sheet([draw_seen(pictures[row], seen[row]) for row in worst], captions, _COLUMNS, _TILE_PX, title)


def _caption(picture: Marked, seen: Seen) -> str:
    """Return a picture's name, what the station decided, and what is marked in it."""
    counts = Counter(picture.labels).most_common()
    return f"{picture.path}\n{seen.verdict}; {', '.join(f'{n} {label}' for label, n in counts) or 'good'}"


def _frame(
    picture: NDArray[np.uint8], box: Sequence[int], factor: float, hue: tuple[int, int, int], thick: int
) -> tuple[int, int]:
    """Draw one box and return its upper left corner."""
    x, y, w, h = (round(factor * value) for value in box)
    cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), hue, thick)
    return x, y


def _write(picture: NDArray[np.uint8], text: str, corner: tuple[int, int], hue: tuple[int, int, int]) -> None:
    """Write `text` in dark on `hue` inside the picture, its upper left near `corner`."""
    (width, height), _ = cv2.getTextSize(text, _FONT, _TEXT_SCALE, 1)
    x = max(0, min(corner[0], picture.shape[1] - width - 4))
    y = max(0, min(corner[1], picture.shape[0] - height - 6))
    cv2.rectangle(picture, (x, y), (x + width + 4, y + height + 6), hue, -1)
    cv2.putText(picture, text, (x + 2, y + height + 2), _FONT, _TEXT_SCALE, (20, 20, 20), 1, cv2.LINE_AA)
