"""What every engine does before it is ready: run on noise, and refuse answers that can't be right. Pure."""

import numpy as np
from numpy.typing import NDArray

from engines.answers import Answers
from engines.model import ModelCard
from shadowline.errors import EngineMismatch

__all__ = ["check_answers", "noise_crops"]

_SUM_TOLERANCE = 2e-3


def noise_crops(card: ModelCard, count: int) -> NDArray[np.uint8]:
    """Return `count` crops of noise for the model of `card`, the same every time."""
    side = card.crop.size_px
    return np.random.default_rng(0).integers(0, 256, (count, 1, side, side), np.uint8)


def check_answers(answers: Answers, card: ModelCard, where: str) -> None:
    """Raise `EngineMismatch`, naming the file `where`, unless all is finite and each row is probabilities.

    They are 0 to 1 and, but for a head of several labels, sum to 1; and there is one novelty a row, or none.
    """
    probabilities, novelty = answers.probabilities, answers.novelty
    if not answers.is_finite:
        raise EngineMismatch(f"{where}: the warm-up answered with numbers that are not finite")
    if card.head == "multi_label":
        if probabilities.min() < 0 or probabilities.max() > 1:
            raise EngineMismatch(f"{where}: the warm-up's probabilities are not 0 to 1: sigmoid missing in the graph?")
    elif probabilities.min() < 0 or np.abs(probabilities.sum(1) - 1).max() > _SUM_TOLERANCE:
        raise EngineMismatch(f"{where}: the warm-up's probabilities do not sum to 1: softmax missing in the graph?")
    if novelty is not None and novelty.shape != (len(probabilities),):
        raise EngineMismatch(f"{where}: novelty of {len(probabilities)} crops is of shape {novelty.shape}")
