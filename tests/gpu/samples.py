"""Frames and crops that every machine can draw for itself: the simulated strip with many defects. Pure."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from station.camera.strip import Strip
from station.crops import cut_crops

__all__ = ["CROPS_A_FRAME", "Sample", "cut_sample_crops", "draw_frames"]

CROPS_A_FRAME: Final = 32
_WIDTH, _HEIGHT = 2048, 1000
_SEED: Final = 20
_FRAMES: Final = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame, uint8 [1000,2048], and the boxes of 32 regions in it, int32 [32,4] of x, y, w, h."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.int32]


@cache
def draw_frames() -> tuple[Sample, ...]:
    """Return a few different frames, the same ones on every machine."""
    strip = Strip(_WIDTH, _HEIGHT, _SEED, defects_per_frame=1.5 * CROPS_A_FRAME)
    return tuple(_sample(strip, index) for index in range(_FRAMES))


def cut_sample_crops(cut: CropCut, count: int) -> NDArray[np.uint8]:
    """Return `count` crops, uint8 [count,1,S,S], cut as the model wants them; they repeat after those of all frames."""
    buffer = np.empty((_FRAMES * CROPS_A_FRAME, 1, cut.size_px, cut.size_px), np.uint8)
    for index, sample in enumerate(draw_frames()):
        cut_crops(sample.image, sample.boxes, cut, buffer[index * CROPS_A_FRAME :])
    return np.resize(buffer, (count, *buffer.shape[1:]))


def _sample(strip: Strip, index: int) -> Sample:
    image, defects = strip.frame(index)
    boxes = np.resize(np.array([defect.box for defect in defects], np.int32), (CROPS_A_FRAME, 4))
    return Sample(image, boxes)
