"""A frame engine that answers from a function, for tests and for trials of the line without a network. Pure."""

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import FinderCard
from engines.frame_engine import Found, check_frames
from shadowline.errors import EngineError

__all__ = ["FakeFrameEngine"]


class FakeFrameEngine:
    """Says of frames [N,1,H,W] what `function` says, in the shapes of `card`."""

    def __init__(self, card: FinderCard, function: Callable[[NDArray[np.uint8]], Found]) -> None:
        self.card = card
        self.name = "fake"
        self.sha256 = ""
        self._function = function
        self._entered = False

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(self, *failure: object) -> None:
        self._entered = False

    def run(self, frames: NDArray[np.uint8]) -> Found:
        if not self._entered:
            raise EngineError("fake: the engine is not entered")
        check_frames(frames, self.card, "fake")
        return self._function(frames)
