"""An engine that answers from a function, for tests and for trials of the line without a network. Pure."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.answers import Answers
from engines.model import CropCut, ModelCard
from shadowline.errors import EngineError

__all__ = ["FakeEngine"]

_CUT = CropCut(size_px=64, context=1.5, min_side_px=64)


class FakeEngine:
    """Names crops by `function`, crops [N,1,S,S] → probabilities [N,C] or answers; without one, by the first label."""

    def __init__(
        self,
        labels: Sequence[str],
        function: Callable[[NDArray[np.uint8]], NDArray[np.float32] | Answers] | None = None,
        crop: CropCut = _CUT,
        novelty_limit: float | None = None,
    ) -> None:
        self.card = ModelCard(name="fake", labels=tuple(labels), crop=crop, novelty_limit=novelty_limit)
        self.name = "fake"
        self.sha256 = ""
        self._function = function or self._first_label
        self._entered = False

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(self, *failure: object) -> None:
        self._entered = False

    def classify(self, crops: NDArray[np.uint8]) -> Answers:
        side = self.card.crop.size_px
        if not self._entered:
            raise EngineError("fake: the engine is not entered")
        if crops.dtype != np.uint8 or crops.shape[1:] != (1, side, side):
            raise EngineError(f"fake: crops are {crops.dtype} {crops.shape}, must be uint8 [N,1,{side},{side}]")
        answers = _as_answers(self._function(crops))
        if answers.probabilities.shape != (len(crops), len(self.card.labels)):
            raise EngineError(f"fake: the function answered with shape {answers.probabilities.shape}")
        if answers.novelty is None and self.card.novelty_limit is not None:
            raise EngineError("fake: there is a novelty_limit, and the function answered without novelty")
        if answers.novelty is not None and answers.novelty.shape != (len(crops),):
            raise EngineError(f"fake: the function answered with novelty of shape {answers.novelty.shape}")
        return answers

    def _first_label(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities = np.zeros((len(crops), len(self.card.labels)), np.float32)
        probabilities[:, 0] = 1.0
        return probabilities


def _as_answers(found: NDArray[np.float32] | Answers) -> Answers:
    if not isinstance(found, Answers):
        return Answers(np.asarray(found, np.float32))
    novelty = None if found.novelty is None else np.asarray(found.novelty, np.float32)
    return Answers(np.asarray(found.probabilities, np.float32), novelty)
