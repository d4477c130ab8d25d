"""Turn crops into features of a frozen network and condense them, to group and label by likeness. Pure; needs torch."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import Tensor

from shadowline.errors import StationError
from training.networks import Ensemble, Network

__all__ = ["condense", "embed"]

_BATCH = 32


def embed(network: Network | Ensemble, crops: NDArray[np.uint8], views: int = 8) -> NDArray[np.float32]:
    """Return features [n,D] of crops [n,1,S,S], each the mean over the first `views` of four turns and their mirrors.

    A defect has no upright, so the mean of all 8 views brings crops of one kind closer; one view is 8 times faster.
    An ensemble gives the features of several backbones or depths beside each other. The network is left in evaluation
    mode. Raises `StationError` for no crops, or views other than 1 to 8.
    """
    if not 1 <= views <= 8:
        raise StationError(f"views {views}: a square crop has 1 to 8 of them")
    if not len(crops):
        raise StationError("no crops to embed: name a folder with pictures")
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = torch.from_numpy(crops).split(_BATCH)
        means = [_mean_features(network, part.to(device), views).float().cpu() for part in parts]
    return np.asarray(torch.cat(means).numpy(), np.float32)


def condense(features: NDArray[np.float32], depth: int = 64) -> NDArray[np.float32]:
    """Return rows of length 1, at most `depth` wide, [n,d]: each feature standardised, then principal components.

    So the dot product of two rows says how alike two crops are, whatever the network's own scales. The statistics are
    those of the crops given: condense labelled and unlabelled ones together. Raises `StationError` below 2 crops.
    """
    if len(features) < 2:
        raise StationError("a single crop can't be compared with others: at least 2 are needed")
    components = PCA(min(depth, *features.shape), random_state=0)
    steps = make_pipeline(StandardScaler(), components, Normalizer())
    return np.asarray(steps.fit_transform(features), np.float32)


def _mean_features(network: Network | Ensemble, crops: Tensor, views: int) -> Tensor:
    """Return the mean features [N,D] over the first views: turned by quarters, then the same mirrored."""
    total = network.features(crops)
    for view in range(1, views):
        turned = torch.rot90(crops, view % 4, (2, 3))
        total = total + network.features(turned.flip(3) if view >= 4 else turned)
    return total / views
