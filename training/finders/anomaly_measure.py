"""What an anomaly map is worth: how far defects and their pictures stand out from what is defect-free. Pure."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import FrameEngine
from engines.finder_card import FinderCard
from station.regions.reduce import reduce_image, reduced_px
from training.data.marked import Marked
from training.novelty import auroc, novelty_limit
from training.report.intervals import Interval, interval, resampled, resamples
from training.scores import ratio

__all__ = [
    "anomaly_figures",
    "grown",
    "heat_of",
    "heats_of",
    "input_of",
    "peaks_of",
    "pixels_of",
    "shown_range",
    "told_apart",
]

_PIXEL_STEP = 4
"""Every so many rows and columns a pixel is asked: neighbours say the same."""
_BINS = 500
"""Of heat, equally full: what an interval is reckoned by."""
_LEAST_RANGE = 1e-3


def input_of(image: NDArray[np.uint8], card: FinderCard) -> NDArray[np.uint8]:
    """Return a picture as the station feeds it to the network, [H,W]: reduced, its right and lower border continued."""
    height, width = reduced_px(image.shape, card.scale)
    reduced = np.empty((height, width), np.uint8)
    reduce_image(np.ascontiguousarray(image), reduced)
    below, beside = -height % card.stride, -width % card.stride
    return np.asarray(cv2.copyMakeBorder(reduced, 0, below, 0, beside, cv2.BORDER_REPLICATE), np.uint8)


def heat_of(engine: FrameEngine, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the raw heat [h,w] of one input [H,W]."""
    return np.array(engine.run(frame[None, None])["heat"][0], np.float32)


def heats_of(engine: FrameEngine, pictures: Sequence[Marked]) -> list[NDArray[np.float32]]:
    """Return the raw heat [h,w] of each picture."""
    return [heat_of(engine, input_of(picture.image(), engine.card)) for picture in pictures]


def peaks_of(heats: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the highest heat of each picture [n]: what a picture is judged by."""
    return np.array([heat.max() for heat in heats], np.float32)


def shown_range(good: Sequence[NDArray[np.float32]], false_alarms: float) -> tuple[float, float]:
    """Return the raw heat that is shown as 0 and as 1, from heats of held-out defect-free pictures.

    0 is what most cells say, and 0.5 the limit that a further defect-free picture passes with a chance of at most
    `false_alarms`. Raises `StationError` without pictures.
    """
    limit = novelty_limit(peaks_of(good), false_alarms)
    low = float(np.median(np.concatenate([heat.ravel() for heat in good])))
    return low, low + 2 * max(limit - low, _LEAST_RANGE)


def anomaly_figures(
    pictures: Sequence[Marked], heats: Sequence[NDArray[np.float32]], card: FinderCard
) -> dict[str, float]:
    """Return figures of one side: `false_alarms` at the card's threshold, and AUROCs where some pictures are marked.

    `auroc_image` is the chance that a marked picture has a higher peak than a defect-free one, `auroc_pixel` that a
    pixel of a defect has more heat than any other pixel of all pictures; `_low` and `_high` are the ends of what 95 %
    of other draws of as many groups would give.
    """
    peaks, good = peaks_of(heats), np.array([picture.is_good for picture in pictures])
    limit = card.low + card.threshold * (card.high - card.low)
    figures = {"n": float(len(pictures)), "n_good": float(good.sum())}
    if good.any():
        figures["false_alarms"] = float((peaks[good] > limit).mean())
    if good.any() and not good.all():
        groups = [picture.group for picture in pictures]
        by_peak = [(peak[whole], peak[~whole]) for peak, whole in zip(peaks[:, None], good[:, None], strict=True)]
        figures |= _with_ends("auroc_image", told_apart(groups, by_peak))
        figures |= _with_ends("auroc_pixel", told_apart(groups, pixels_of(pictures, heats, card)))
    return figures


def told_apart(groups: Sequence[str], heats: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> Interval:
    """Return the chance that heat of a defect is above other heat, each picture's heats given as (other, of a defect).

    Its interval is over whole groups of pictures: exposures of one part are hot or cold together.
    """
    clean, defect = (np.concatenate(part) for part in zip(*heats, strict=True))
    edges = np.unique(np.quantile(np.concatenate([clean, defect]), np.linspace(0, 1, _BINS + 1)))[1:-1]
    others, defects = (_binned(part, edges) for part in zip(*heats, strict=True))

    def chances(weights: NDArray[np.float32]) -> NDArray[np.float64]:
        below, above = weights @ others, weights @ defects
        lower = below.cumsum(1) - below / 2
        return ratio((above * lower).sum(1), above.sum(1) * below.sum(1))

    drawn = resamples(groups)
    both = (drawn @ others.sum(1) > 0) & (drawn @ defects.sum(1) > 0)
    return interval(auroc(clean, defect), resampled(chances, drawn[both]))


def pixels_of(
    pictures: Sequence[Marked], heats: Sequence[NDArray[np.float32]], card: FinderCard
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the heat of each picture's defect-free pixels and of its defects' pixels."""
    found = []
    for picture, heat in zip(pictures, heats, strict=True):
        width, height = picture.size_px
        asked = grown(heat, (height, width), card)[::_PIXEL_STEP, ::_PIXEL_STEP]
        marked = picture.defect()[::_PIXEL_STEP, ::_PIXEL_STEP]
        found.append((asked[~marked], asked[marked]))
    return found


def grown(heat: NDArray[np.float32], shape: tuple[int, int], card: FinderCard) -> NDArray[np.float32]:
    """Return a map as large as its picture, smooth between the middles of the cells."""
    reduced = reduced_px(shape, card.scale)
    whole = cv2.resize(heat, (heat.shape[1] * card.stride, heat.shape[0] * card.stride))
    return np.asarray(cv2.resize(whole[: reduced[0], : reduced[1]], shape[::-1]), np.float32)


def _binned(heats: Sequence[NDArray[np.float32]], edges: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how many values of each row lie between the edges, [n, edges + 1]."""
    counts = [np.bincount(np.searchsorted(edges, heat), minlength=len(edges) + 1) for heat in heats]
    return np.stack(counts).astype(np.float64)


def _with_ends(name: str, figure: Interval) -> dict[str, float]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
