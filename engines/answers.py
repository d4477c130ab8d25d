"""What an engine says of crops: probabilities, and how novel each crop is where the model has that output. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answers", "join_answers"]


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to N crops, row by row."""

    probabilities: NDArray[np.float32]
    """[N,C], in the order of the card's labels."""
    novelty: NDArray[np.float32] | None = None
    """[N], higher is less like training; None from a model without it."""

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        return all(np.isfinite(part).all() for part in (self.probabilities, self.novelty) if part is not None)

    def copy(self) -> "Answers":
        """Return answers that the engine's next call leaves alone."""
        return Answers(self.probabilities.copy(), None if self.novelty is None else self.novelty.copy())

    def rows(self, start: int, stop: int) -> "Answers":
        """Return the answers to the crops from `start` up to `stop`, as views."""
        return Answers(self.probabilities[start:stop], None if self.novelty is None else self.novelty[start:stop])


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Return the rows of `parts`, at least one, which are of one model, as one value."""
    novelty = [part.novelty for part in parts if part.novelty is not None]
    return Answers(np.concatenate([part.probabilities for part in parts]), np.concatenate(novelty) if novelty else None)
