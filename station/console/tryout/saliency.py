"""Which part of a crop a network's answer hangs on. Pure.

A model file may tell by itself (output `saliency`). Of any other the crop is asked again and again with one square of
it covered by grey: where the label's probability falls most, it looked most. That needs neither gradients nor the
framework that trained the network, so it is the same for every model and every precision.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines import Engine
from engines.onnx_file import OnnxFile

__all__ = ["COVERED", "OWN", "Saliency", "cover"]

OWN: Final = "model"
COVERED: Final = "covered"
_SQUARES: Final = 8
_OUTPUT: Final = "saliency"


class Saliency:
    """The maps of one model; `by` says where they come from."""

    def __init__(self, engine: Engine, file: OnnxFile | None = None) -> None:
        """`file` is the model's, where it has one."""
        self._engine = engine
        self._file = file if file is not None and _OUTPUT in file.outputs else None
        self.by = COVERED if self._file is None else OWN

    def of(self, crop: NDArray[np.uint8], row: int) -> NDArray[np.float32]:
        """Return a map [h,w] from 0 to 1 of what `crop` [1,S,S] is given the label number `row` for."""
        if self._file is not None:
            return _scaled(self._file.run([_OUTPUT], crops=crop[None])[_OUTPUT][0])
        covered = cover(crop, _SQUARES)
        answers = self._engine.classify(np.concatenate([crop[None], covered])).probabilities[:, row].copy()
        return _scaled((answers[0] - answers[1:]).reshape(_SQUARES, _SQUARES))


def cover(crop: NDArray[np.uint8], squares: int) -> NDArray[np.uint8]:
    """Return `squares`² copies of `crop` [1,S,S], each with one square of a grid in its mean grey, row by row."""
    side = crop.shape[-1]
    edges = np.linspace(0, side, squares + 1).round().astype(int)
    copies = np.repeat(crop[None], squares * squares, axis=0)
    grey = round(float(crop.mean()))
    for number, copy in enumerate(copies):
        row, column = divmod(number, squares)
        copy[0, edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = grey
    return copies


def _scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `values` with what is negative or no number as 0, the highest as 1; all 0 where none stands out."""
    told = np.clip(np.nan_to_num(values, posinf=0.0, neginf=0.0), 0.0, None).astype(np.float32)
    highest = float(told.max(initial=0.0))
    return told / np.float32(highest) if highest > 1e-6 else np.zeros_like(told)
