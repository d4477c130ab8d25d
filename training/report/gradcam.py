"""Where in a crop the evidence for its answer lies. Needs torch."""

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["MappedNetwork", "gradcam"]

_BATCH = 32


class MappedNetwork(Protocol):
    """A network with a middle: `head(pool(maps(crops)))` are its logits."""

    def maps(self, crops: Tensor) -> Tensor:
        """Return feature maps [N,D,h,w]."""

    def pool(self, maps: Tensor) -> Tensor:
        """Return features [N,D]."""

    def head(self, features: Tensor) -> Tensor:
        """Return logits [N,K]."""


def gradcam(
    network: MappedNetwork, crops: NDArray[np.uint8], classes: Sequence[int] | NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return how much each place of crops [n,1,S,S] speaks for a class, [n,S,S] from 0 to 1, the most being 1.

    For the class that is named unless `classes` [n] says otherwise; a sole logit speaks for class 1, and against it
    for class 0. All 0 where nothing speaks for it. The product of map and gradient, place by place (HiResCAM, Draelos
    and Carin 2020): where the pool is a mean it is Grad-CAM, and elsewhere it stays true to the network. Puts the
    network in evaluation mode.
    """
    module = cast(torch.nn.Module, network).eval()
    device = next(module.parameters()).device
    parts = []
    for start in range(0, len(crops), _BATCH):
        rows = slice(start, start + _BATCH)
        wanted = None if classes is None else torch.as_tensor(np.asarray(classes[rows]), device=device)
        parts.append(_evidence(network, torch.from_numpy(crops[rows]).to(device), wanted).cpu().numpy())
    return np.concatenate(parts)


def _evidence(network: MappedNetwork, crops: Tensor, classes: Tensor | None) -> Tensor:
    with torch.inference_mode(False), torch.enable_grad():
        maps = network.maps(crops).detach().float().requires_grad_()
        logits = network.head(network.pool(maps))
        if logits.shape[1] == 1:
            logits = torch.cat([-logits, logits], 1)
        wanted = logits.argmax(1) if classes is None else classes
        (slope,) = torch.autograd.grad(logits.gather(1, wanted[:, None]).sum(), maps)
    places = (slope * maps.detach()).sum(1, keepdim=True).clamp_min(0)
    places = functional.interpolate(places, crops.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return cast(Tensor, places / places.amax((1, 2), keepdim=True).clamp_min(1e-12))
