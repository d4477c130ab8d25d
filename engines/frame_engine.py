"""The contract of engines that find regions: a finder file made ready for frames. One thread at a time. Pure."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.base import LoadedFile
from engines.finder_card import FinderCard
from shadowline.errors import EngineError

__all__ = ["Found", "FrameEngine", "check_frames"]

Found: TypeAlias = Mapping[str, NDArray[Any]]
"""Outputs by name: `heat`, or `boxes`, `scores` and `labels`, of the shapes that `engines.finder_card` lists."""


class FrameEngine(LoadedFile, Protocol):
    """A network ready to look at frames."""

    card: FinderCard
    """What the finder file says of itself; `input_px` is what this engine takes. Set by entering."""

    def run(self, frames: NDArray[np.uint8]) -> Found:
        """Return what the network says of frames [N,1,H,W], N ≥ 1, in input pixels. Raises `EngineError`.

        H and W are the card's `input_px`, or any multiples of its stride. The arrays are overwritten by the next call:
        copy what you keep. Their values are the network's, NaN included.
        """


def check_frames(frames: NDArray[Any], card: FinderCard, where: str) -> None:
    """Raise `EngineError`, naming the engine or file `where`, unless `frames` are what `card` takes."""
    sides = "H,W" if card.input_px is None else "{},{}".format(*card.input_px)
    fits = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[1] == 1 and frames.size > 0
    if fits and card.input_px is None:
        fits = not any(side % card.stride for side in frames.shape[2:])
        sides += f" of multiples of {card.stride}"
    elif fits:
        fits = frames.shape[2:] == card.input_px
    if not fits:
        raise EngineError(f"{where}: frames are {frames.dtype} {list(frames.shape)}, must be uint8 [N,1,{sides}]")
