"""What every frame engine does before it is ready: run on noise, and refuse what can't be right. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import MAX_CANDIDATES, FinderCard
from engines.frame_engine import Found
from shadowline.errors import EngineMismatch

__all__ = ["OUTPUTS", "check_found", "noise_frames"]

OUTPUTS: Final = {"heatmap": ("heat",), "anomaly": ("heat",), "detector": ("boxes", "scores", "labels")}
"""Kind of a finder file → the outputs that it must have, and that are asked for."""

_LEAST_PX = 64


def noise_frames(card: FinderCard, count: int) -> NDArray[np.uint8]:
    """Return `count` frames of noise for the network of `card`, the same every time; small ones where any size goes."""
    height, width = card.input_px or (card.stride * -(-_LEAST_PX // card.stride),) * 2
    return np.random.default_rng(0).integers(0, 256, (count, 1, height, width), np.uint8)


def check_found(found: Found, frames: NDArray[np.uint8], card: FinderCard, where: str) -> None:
    """Raise `EngineMismatch`, naming the file `where`, unless what was found in `frames` can be that of `card`.

    All is finite; a map has a cell for each square of the stride, probabilities are 0 to 1, and what a detector lists
    is of one length, of known labels and of falling score.
    """
    if not all(np.isfinite(part).all() for part in found.values()):
        raise EngineMismatch(f"{where}: the warm-up answered with numbers that are not finite")
    if card.kind == "detector":
        _check_list(found, len(frames), card, where)
    else:
        _check_map(found["heat"], frames.shape, card, where)


def _check_map(heat: NDArray[Any], frames: tuple[int, ...], card: FinderCard, where: str) -> None:
    labels = (len(card.labels),) if card.labels else ()
    shape = (frames[0], *labels, frames[2] // card.stride, frames[3] // card.stride)
    if heat.shape != shape:
        raise EngineMismatch(
            f"{where}: heat of frames {list(frames)} is {list(heat.shape)}, must be {list(shape)}: stride or labels of "
            "its card are not the graph's"
        )
    if card.kind == "heatmap" and (heat.min() < 0 or heat.max() > 1):
        raise EngineMismatch(f"{where}: the warm-up's heat is not 0 to 1: sigmoid missing in the graph?")


def _check_list(found: Found, count: int, card: FinderCard, where: str) -> None:
    boxes, scores, labels = (found[name] for name in OUTPUTS["detector"])
    length = scores.shape[-1]
    if (boxes.shape, scores.shape, labels.shape) != ((count, length, 4), (count, length), (count, length)):
        raise EngineMismatch(
            f"{where}: boxes, scores and labels of {count} frames are {list(boxes.shape)}, {list(scores.shape)} and "
            f"{list(labels.shape)}, must be [N,K,4], [N,K] and [N,K]"
        )
    if length > MAX_CANDIDATES:
        raise EngineMismatch(f"{where}: {length} boxes a frame, at most {MAX_CANDIDATES}: TopK missing in the graph?")
    if not length:
        return
    if scores.min() < 0 or scores.max() > 1:
        raise EngineMismatch(f"{where}: the warm-up's scores are not 0 to 1: sigmoid missing in the graph?")
    if (np.diff(scores) > 0).any():
        raise EngineMismatch(f"{where}: the warm-up's scores do not fall: TopK missing in the graph?")
    if labels.min() < 0 or labels.max() >= len(card.labels):
        raise EngineMismatch(
            f"{where}: labels count from {labels.min()} to {labels.max()}, its card has {len(card.labels)}"
        )
