"""Put unlabelled crops in the order in which labelling them teaches a network most. Pure."""

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import StationError

__all__ = ["rank"]


def rank(
    probabilities: NDArray[np.float32],
    features: NDArray[np.float32],
    labelled_features: NDArray[np.float32],
    novelty: NDArray[np.float32] | None,
    count: int,
) -> NDArray[np.int64]:
    """Return the rows of the `count` crops to label next, the most telling first.

    One after the other it takes the crop with the greatest product of doubt and distance: how small the margin between
    its two likeliest classes [n,C] is, and how far (1 less the dot product) it lies from every crop that is labelled or
    taken already. That is k-center (Sener and Savarese 2018) weighted by the margin. `features` [n,d] and
    `labelled_features` [m,d] (maybe none) are rows of length 1, condensed together. `novelty` [n] adds doubt above
    its median, up to full doubt for the highest. Raises `StationError` for a `count` below 1 or above n.
    """
    if not 1 <= count <= len(features):
        raise StationError(f"{count} crops to label of {len(features)}: take 1 to {len(features)}")
    doubt = _doubt(probabilities, novelty)
    nearest = (features @ labelled_features.T).max(1, initial=-1.0)
    order = np.empty(count, np.int64)
    for place in range(count):
        worth = doubt * (1 - np.minimum(nearest, 1.0))
        worth[order[:place]] = -1.0
        order[place] = worth.argmax()
        nearest = np.maximum(nearest, features @ features[order[place]])
    return order


def _doubt(probabilities: NDArray[np.float32], novelty: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """Return how little each answer is worth, 0 to 1, a little above 0 at least so that distance still counts."""
    ordered = np.sort(probabilities.astype(np.float64), 1)
    sure = ordered[:, -1] - ordered[:, -2]
    if novelty is not None:
        above = np.maximum(novelty - np.median(novelty), 0.0)
        sure = sure * (1 - above / max(float(above.max()), 1e-9))
    return np.asarray(np.maximum(1 - sure, 1e-6), np.float64)
