"""The engine contract. One thread at a time has an engine; between calls it may be handed to another."""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engines.answers import Answers
from engines.model import ModelCard

__all__ = ["Engine", "LoadedFile"]


class LoadedFile(Protocol):
    """What runs one file. Entering loads and warms it up; leaving frees everything, and may be repeated."""

    name: str
    """Back end, provider and precision, for logs, metrics and the heartbeat; whole once entered."""

    sha256: str
    """Hash of the file as it was loaded; empty for an engine without a file. Set by entering."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *failure: object) -> None: ...


class Engine(LoadedFile, Protocol):
    """A network ready to name crops."""

    card: ModelCard
    """What the model says of itself: labels, crop size, how crops are cut, hashes, metrics. Set by entering."""

    def classify(self, crops: NDArray[np.uint8]) -> Answers:
        """Return the answers to crops [N,1,S,S], any N ≥ 1 (batched inside). Raises `EngineError`.

        There is a novelty in each call or in none, and always where the card has a `novelty_limit`. The arrays are
        overwritten by the next call: copy what you keep. Their values are the network's, NaN included.
        """
