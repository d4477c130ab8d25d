"""Crops to calibrate and to prove a build on: from folders of pictures, or drawn by the simulator. Pure.

`python -m station.sample_crops OUT.npy` writes drawn ones, for the station, which draws nothing in its own process.
"""

import itertools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from shadowline.errors import StationError
from station.camera.pictures import list_pictures, read_picture
from station.camera.strip import Strip
from station.config import RegionsConfig
from station.crops import cut_crops, whole_image
from station.frame import InvalidReason
from station.regions import open_finder

__all__ = ["DEFAULT_CUT", "Crops", "draw_crops", "read_crops"]

DEFAULT_CUT = CropCut(size_px=96, context=1.5, min_side_px=96)

_MAX_PIXELS = 100e6
_STRIP_PX = 1024
_DEFECTS_PER_FRAME = 20.0
_SEED = 20_000


@dataclass(frozen=True, slots=True)
class Crops:
    """Crops uint8 [n,1,S,S], n ≥ 1, what each is called, and its true label where the folder tells."""

    crops: NDArray[np.uint8]
    names: tuple[str, ...]
    truth: tuple[str, ...] | None

    def odd_rows(self) -> "Crops":
        """Return every second one, from the second on."""
        return Crops(self.crops[1::2], self.names[1::2], self.truth[1::2] if self.truth else None)


def read_crops(folder: Path, cut: CropCut, labels: tuple[str, ...]) -> Crops:
    """Return every picture below `folder` as one crop of all of it, cut as serving cuts.

    Pictures in folders named like labels have these as their true labels. Raises `StationError` when there is no
    picture, one can't be read, or some folders are labels and others are not.
    """
    try:
        files = list_pictures(folder)
    except OSError as fault:
        raise StationError(f"{folder}: {fault.strerror}") from fault
    if not files:
        raise StationError(f"{folder}: no picture there")
    truth = tuple(file.parent.name for file in files)
    strangers = sorted(set(truth) - set(labels))
    if strangers and set(truth) & set(labels):
        raise StationError(f"{folder}: folder {', '.join(strangers)} is no label of the model ({', '.join(labels)})")
    crops = np.empty((len(files), 1, cut.size_px, cut.size_px), np.uint8)
    for row, file in enumerate(files):
        image = read_picture(file, _MAX_PIXELS)
        if isinstance(image, InvalidReason):
            raise StationError(f"{file}: {image.value}")
        cut_crops(image, whole_image(image), cut, crops[row : row + 1])
    names = tuple(str(file.relative_to(folder)) for file in files)
    return Crops(crops, names, None if strangers else truth)


def draw_crops(cut: CropCut, count: int) -> Crops:
    """Return `count` crops as the region finder cuts them from strips of the simulator; the same every time."""
    crops = np.empty((count, 1, cut.size_px, cut.size_px), np.uint8)
    have = 0
    strip = Strip(_STRIP_PX, _STRIP_PX, _SEED, _DEFECTS_PER_FRAME)
    for index in itertools.count():
        image, _ = strip.frame(index)
        boxes = open_finder(RegionsConfig(background="frame"), None).find(image).box[: count - have]
        cut_crops(image, boxes, cut, crops[have : have + len(boxes)])
        have += len(boxes)
        if have == count:
            break
    return Crops(crops, tuple(f"drawn {number}" for number in range(count)), None)


if __name__ == "__main__":
    os.nice(19)  # a line runs beside it
    np.save(sys.argv[1], draw_crops(DEFAULT_CUT, int(sys.argv[2])).crops)
