"""What a model answered to the crops of one side of a split, beside what is true. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Evaluation"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The crops of one side and source, in one order."""

    names: tuple[str, ...]
    """The picture's path, with the box behind it where the crop is of one."""
    crops: NDArray[np.uint8]
    """[n,1,S,S], as serving cuts them."""
    targets: NDArray[np.float32]
    """[n,C], 1 for each true label; one 1 a row but for multi-label."""
    probabilities: NDArray[np.float32]
    """[n,C]."""
    novelty: NDArray[np.float32] | None = None
    """[n], higher = less like training."""

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class number of each crop, [n]."""
        return np.asarray(self.targets.argmax(1), np.int64)
