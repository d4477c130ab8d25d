"""Where regions lie against what is marked, whatever it is called: by overlap of boxes, or by cover of masks. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.assess.matching import overlaps

__all__ = ["COVERED", "LOOSE_IOU", "Cover", "by_boxes", "by_mask"]

LOOSE_IOU = 0.3
"""A region meets a marked box from this intersection over union on."""
COVERED = 0.2
"""A component of a mask is met when regions cover this part of its pixels."""


@dataclass(frozen=True, slots=True)
class Cover:
    """Of one picture: which marked defects were met, bool [n], and which regions meet none, bool [m].

    `boxes` [n,4] are those of the defects; `part` is the part of the picture that lies in regions, which tells a
    finder that says "all of it".
    """

    met: NDArray[np.bool_]
    false: NDArray[np.bool_]
    boxes: NDArray[np.int32]
    part: float


def by_boxes(marked: NDArray[np.int32], regions: NDArray[np.int32], size_px: tuple[int, int]) -> Cover:
    """Compare regions [m,4] with marked boxes [n,4]: each is met that any region overlaps by 0.3."""
    near = overlaps(marked, regions) >= LOOSE_IOU
    met, hit = (np.asarray(near.any(axis), np.bool_) for axis in (1, 0))
    return Cover(met, ~hit, marked, float(_filled(regions, size_px).mean()))


def by_mask(defect: NDArray[np.bool_], regions: NDArray[np.int32]) -> Cover:
    """Compare regions [m,4] with the 8-connected components of a mask [H,W].

    A component is met when boxes of regions cover a fifth of it; a region is false when its box holds no pixel of it.
    """
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(defect.astype(np.uint8), connectivity=8)
    filled = _filled(regions, (defect.shape[1], defect.shape[0]))
    covered = np.bincount(numbers[filled], minlength=count)[1:]
    met = covered >= COVERED * stats[1:, cv2.CC_STAT_AREA]
    false = [not defect[y : y + h, x : x + w].any() for x, y, w, h in regions.tolist()]
    return Cover(met, np.array(false, np.bool_), stats[1:, :4].astype(np.int32), float(filled.mean()))


def _filled(boxes: NDArray[np.int32], size_px: tuple[int, int]) -> NDArray[np.bool_]:
    filled = np.zeros((size_px[1], size_px[0]), np.bool_)
    for x, y, w, h in boxes.tolist():
        filled[y : y + h, x : x + w] = True
    return filled
