"""A network made ready for the line: engine, judge of its labels, room for its crops. What a swap exchanges. Pure."""

import numpy as np
from numpy.typing import NDArray

from engines import Engine
from station.verdict import Judge

__all__ = ["Model"]

_CROPS = 64
"""Crops that there is room for at first; a configuration that allows more regions makes more room once."""


class Model:
    """An entered engine with what belongs to it. Made by one thread, then used by the inspect thread alone."""

    def __init__(self, engine: Engine, judge: Judge, why: str = "", golden: float | None = None) -> None:
        """`why` says why this back end was taken; `golden` is the part of the golden set that it names rightly."""
        self.engine = engine
        self.judge = judge
        self.why = why
        self.golden = golden
        self._crops = np.zeros((_CROPS, 1, engine.card.crop.size_px, engine.card.crop.size_px), np.uint8)

    @property
    def title(self) -> str:
        """Name and the first digits of the hash: which model, in events and for people."""
        return f"{self.engine.card.name} {self.engine.sha256[:12]}"

    def room(self, count: int) -> NDArray[np.uint8]:
        """Return the buffer uint8 [m,1,S,S] for crops, m ≥ `count`; the same one every time."""
        if count > len(self._crops):
            self._crops = np.zeros((count, *self._crops.shape[1:]), np.uint8)
        return self._crops
