"""Networks by a recipe. Needs torch."""

import torch
from torch import nn

from shadowline.errors import StationError
from training.networks.backbone import backbone_names, feature_count, open_backbone
from training.networks.network import (
    Ensemble,
    Network,
    Scaling,
    Serving,
    features_of,
    logits_of,
    probabilities_of,
)
from training.networks.own import CompactTrunk, OriginalTrunk, original_pool
from training.networks.weights import PACKAGED_NETWORK, WeightsReport, packaged_weights
from training.recipe import Recipe

__all__ = [
    "PACKAGED_NETWORK",
    "Ensemble",
    "Network",
    "Serving",
    "WeightsReport",
    "backbone_names",
    "features_of",
    "logits_of",
    "open_network",
    "packaged_weights",
    "probabilities_of",
    "settle",
]

_SMALL = {"learning_rate": 3e-3, "epochs": 96}
_ORIGINAL = {"learning_rate": 1e-3, "epochs": 96}
_BACKBONE = {"learning_rate": 5e-4, "epochs": 16}


def settle(recipe: Recipe, crops: int) -> Recipe:
    """Return the recipe with every open choice made, for a training on `crops` crops; the run keeps this one.

    `auto` is the packaged backbone where its weights are installed, else `compact`.
    """
    chosen: dict[str, object] = {}
    network = recipe.network
    if network == "auto":
        network = PACKAGED_NETWORK if packaged_weights() else "compact"
        chosen |= {"network": network, "weights": "package" if packaged_weights() else None}
    defaults = _ORIGINAL if network == "original" else _SMALL if network == "compact" else _BACKBONE
    chosen |= {key: value for key, value in defaults.items() if getattr(recipe, key) is None}
    epochs = recipe.epochs or defaults["epochs"]
    chosen |= {
        "scale": recipe.scale or ("unit" if network == "original" else "standard"),
        "input_px": recipe.input_px or recipe.crop.size_px,
        "epoch_crops": recipe.epoch_crops or max(512, crops),
        "patience": recipe.patience or max(1, round(epochs / 2)),
    }
    return Recipe.model_validate(recipe.model_dump() | chosen)


def open_network(recipe: Recipe, classes: int, start: bool = True) -> tuple[Network, WeightsReport | None]:
    """Return a new network by a settled recipe, and what its weights file covered.

    `start` False leaves out the starting weights: for loading a checkpoint. Raises `StationError` when the recipe
    names no network, or its weights or picture size do not fit.
    """
    scale, input_px = recipe.scale, recipe.input_px
    if scale is None or input_px is None or recipe.network == "auto":
        raise StationError("the recipe is not settled")
    if recipe.head == "sigmoid" and classes != 2:
        raise StationError(f"head sigmoid is for two classes, these are {classes}: take softmax or multi_label")
    outputs = 1 if recipe.head == "sigmoid" else classes
    torch.manual_seed(recipe.seed)
    report = None
    if recipe.network == "original":
        trunk: nn.Module = OriginalTrunk()
    elif recipe.network == "compact":
        trunk = CompactTrunk(recipe.width)
    else:
        trunk, report = open_backbone(recipe.network, input_px, recipe.weights if start else None, recipe.stages)
    depth, _ = feature_count(trunk, input_px)
    if recipe.network == "original":
        pool, head = original_pool(input_px), nn.Sequential(nn.Linear(64, outputs))
    else:
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        head = nn.Sequential(nn.Dropout(recipe.dropout), nn.Linear(depth, outputs))
    return Network(Scaling(scale, input_px), trunk, pool, head), report
